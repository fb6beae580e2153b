"""Where somebody lands who is signed in: it depends on the role."""

from fastapi import APIRouter, Response

from services.web.pages import desk, orders, shop
from services.web.visits import Person

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


@router.get("/")
async def home(visit: Person, status: str = "", cursor: str = "") -> Response:
    """Buyers see what there is to buy, sellers what there is to do, agents their desk."""
    assert visit.who is not None
    if visit.who.role == "buyer":
        return await shop.show(visit, cursor)
    if visit.who.role == "seller":
        return await orders.show_list(visit, status, cursor, first="processing")
    return await desk.show(visit)
