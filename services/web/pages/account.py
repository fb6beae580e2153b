"""The profile: who one is, one's orders by status (A), and what is kept here about how pages look."""

from collections import Counter

from fastapi import APIRouter, Response

from services.web.visits import Person

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


@router.get("/account")
async def account(visit: Person) -> Response:
    """The profile, for a buyer with the wallet and how many of the latest hundred orders have which status."""
    assert visit.who is not None
    counts: Counter[str] = Counter()
    wallet = None
    if visit.who.role == "buyer":
        wallet = await visit.get("/refunds/wallet")
        counts.update(order["status"] for order in (await visit.get("/orders", limit=100))["items"])
    return visit.page("account.html", me=await visit.get("/accounts/me"), wallet=wallet, counts=counts)
