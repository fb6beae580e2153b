"""Where the money is: Lazada Credit, DANA, and the refunds on their way."""

from fastapi import APIRouter, Response

from services.web.visits import Buyer

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


@router.get("/wallet")
async def wallet(visit: Buyer, cursor: str = "") -> Response:
    """The balance, its movements, the link to DANA, and all refunds."""
    refunds = await visit.get("/refunds", limit=20, cursor=cursor or None)
    return visit.page(
        "wallet.html", wallet=await visit.get("/refunds/wallet"), refunds=refunds["items"], next=refunds["next"]
    )


@router.post("/wallet/dana")
async def link(visit: Buyer) -> Response:
    """Has refunds go to DANA from now on, once DANA knows the number."""
    form = await visit.form()
    phone = "".join(one for one in str(form.get("phone", "")) if one not in " -.()")
    there = "/refunds/wallet/dana"
    return await visit.do("PUT", there, {"phone": phone}, then=f"{visit.root}/wallet", notice="notice.linked")


@router.post("/wallet/dana/unlink")
async def unlink(visit: Buyer) -> Response:
    """Has refunds go to Lazada Credit from now on."""
    await visit.form()
    return await visit.do("DELETE", "/refunds/wallet/dana", then=f"{visit.root}/wallet", notice="notice.unlinked")
