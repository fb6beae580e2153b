"""The wallet: Lazada Credit, DANA, and the refunds."""

from fastapi import APIRouter, Response

from services.web.upstream import Refused, ServiceAway
from services.web.visits import Buyer, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


@router.get("/wallet")
@router.get("/wallet/dana")  # where a page is after a number was refused
async def wallet(visit: Buyer, cursor: str = "") -> Response:
    """The balance, its movements, the link to DANA, and all refunds."""
    return await _show(visit, cursor=cursor)


@router.post("/wallet/dana")
async def link(visit: Buyer) -> Response:
    """Links DANA, once DANA confirms the number; else the form keeps the typed number."""
    typed = (await visit.form())["phone"]
    try:
        await visit.send("PUT", "/refunds/wallet/dana", {"phone": typed})
    except Refused as refused:
        return await _show(visit, typed, "wrong.phone" if "phone" in refused.fields else f"error.{refused.code}")
    except ServiceAway:  # if `refunds` itself is down, the page fails below and shows that
        return await _show(visit, typed, "error.dana_unreachable")
    return visit.go(f"{visit.root}/wallet", "notice.linked")


async def _show(visit: Visit, typed: str = "", wrong: str = "", *, cursor: str = "") -> Response:
    refunds = await visit.get("/refunds", limit=20, cursor=cursor or None)
    wallet = await visit.get("/refunds/wallet")
    return visit.page("wallet.html", 422 if wrong else 200, wallet=wallet, refunds=refunds["items"],
                      next=refunds["next"], typed=typed, wrong=wrong)  # fmt: skip


@router.post("/wallet/dana/unlink")
async def unlink(visit: Buyer) -> Response:
    """Unlinks DANA: refunds go to Lazada Credit from now on."""
    await visit.form()
    return await visit.do("DELETE", "/refunds/wallet/dana", then=f"{visit.root}/wallet", notice="notice.unlinked")
