"""The profile: the account, its orders by status (A), and the appearance of pages."""

from collections import Counter

from fastapi import APIRouter, Response

from services.web.visits import Person

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


@router.get("/account")
async def account(visit: Person) -> Response:
    """The profile, for a buyer with the wallet and how many of the latest hundred orders have which status."""
    counts: Counter[str] = Counter()
    wallet = None
    if visit.person.role == "buyer":
        wallet = await visit.get("/refunds/wallet")
        counts.update(order["status"] for order in (await visit.get("/orders", limit=100))["items"])
    return visit.page("account.html", me=await visit.get("/accounts/me"), wallet=wallet, counts=counts)


@router.post("/password")
async def change_password(visit: Person) -> Response:
    """Changes the password; the other devices are signed out."""
    form = await visit.form()
    body = {name: form[name] for name in ("current_password", "new_password")}
    then = f"{visit.root}/account"
    return await visit.do("POST", "/accounts/password", body, then=then, notice="notice.password_changed")


@router.post("/sign-out-everywhere")
async def sign_out_everywhere(visit: Person) -> Response:
    """Ends all sessions of the account. If accounts is down nothing has ended, and the page shows it."""
    await visit.form()
    await visit.send("POST", "/accounts/logout-all")
    visit.dependencies.revocations.add(visit.person)
    visit.leave()
    return visit.go(f"{visit.root}/sign-in", "notice.signed_out_everywhere")
