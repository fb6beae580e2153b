"""The catalogue, for buyers, and placing an order."""

from fastapi import APIRouter, Response

from services.web.formats import whole
from services.web.upstream import Refused
from services.web.visits import Buyer, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

PAYMENTS = ("bank_transfer", "dana", "cod")


async def show(visit: Visit) -> Response:
    """What there is to buy."""
    catalogue = await visit.get("/orders/products", limit=100)
    return visit.page("shop.html", products=catalogue["items"], payments=PAYMENTS)


@router.post("/buy")
async def buy(visit: Buyer) -> Response:
    """Places an order for some pieces of one product."""
    form = await visit.form()
    order = {
        "lines": [{"product_id": str(form.get("product_id")), "quantity": whole(str(form.get("quantity", "1")), 0)}],
        "payment_method": str(form.get("payment_method")),
    }
    try:
        placed = await visit.tell("POST", "/orders", order, str(form.get("key", "")) or None)
    except Refused as refused:
        return visit.go(f"{visit.root}/", f"error.{refused.code}")
    return visit.go(f"{visit.root}/orders/{placed['order_id']}", "notice.ordered")
