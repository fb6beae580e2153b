"""The catalogue, for buyers, and placing an order."""

from fastapi import APIRouter, Response

from runtime.numbers import whole
from services.web.upstream import Refused
from services.web.visits import Buyer, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

MOST_PIECES = 100
"""Of one product in an order."""
PAYMENTS = ("bank_transfer", "dana", "cod")


async def show(visit: Visit, wrong: dict[str, str] | None = None) -> Response:
    """What there is to buy. `wrong`: a quantity that was refused, under the product's id, as it was typed."""
    catalogue = await visit.get("/orders/products", limit=100)
    return visit.page("shop.html", 422 if wrong else 200, products=catalogue["items"], payments=PAYMENTS,
                      wrong=wrong or {})  # fmt: skip


@router.post("/buy")
async def buy(visit: Buyer) -> Response:
    """Places an order for some pieces of one product."""
    form = await visit.form()
    product_id, typed = str(form.get("product_id")), str(form.get("quantity", "1"))
    quantity = whole(typed.strip())
    if quantity is None or not 1 <= quantity <= MOST_PIECES:
        return await show(visit, {product_id: typed})
    order = {
        "lines": [{"product_id": product_id, "quantity": quantity}],
        "payment_method": str(form.get("payment_method")),
    }
    try:
        placed = await visit.tell("POST", "/orders", order, str(form.get("key", "")) or None)
    except Refused as refused:
        return visit.go(f"{visit.root}/", f"error.{refused.code}")
    return visit.go(f"{visit.root}/orders/{placed['order_id']}", "notice.ordered")
