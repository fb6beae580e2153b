"""The first page after signing in, by role."""

from fastapi import APIRouter, Response

from services.web.pages import desk, orders, shop
from services.web.visits import Person

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


@router.get("/")
async def home(
    visit: Person, status: str = "", cursor: str = "", title: str = "", max_price: str = "", in_stock: str = ""
) -> Response:
    """The catalogue for buyers, open orders for sellers, the desk for agents."""
    if visit.person.role == "buyer":
        return await shop.show(visit, cursor, title, max_price, in_stock)
    if visit.person.role == "seller":
        return await orders.show_list(visit, status, cursor, first="processing")
    return await desk.show(visit)
