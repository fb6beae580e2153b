"""The catalogue, for buyers, and placing an order."""

from urllib.parse import urlencode

from fastapi import APIRouter, Response

from runtime.numbers import whole
from services.web.upstream import Refused
from services.web.visits import Buyer, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

ON_A_PAGE = 60
MAX_PIECES = 100
"""Of one product in an order."""
PAYMENTS = ("bank_transfer", "dana", "cod")


async def show(visit: Visit, cursor: str, wrong: dict[str, str] | None = None) -> Response:
    """The catalogue, page by page. `wrong`: a refused quantity as it was typed, by product id."""
    page = await visit.get("/orders/products", limit=ON_A_PAGE, cursor=cursor or None)
    return visit.page("shop.html", 422 if wrong else 200, products=page["items"], next=page.get("next"), cursor=cursor,
                      payments=PAYMENTS, wrong=wrong or {})  # fmt: skip


@router.post("/buy")
async def buy(visit: Buyer) -> Response:
    """Places an order for some pieces of one product."""
    form = await visit.form()
    product_id, typed, cursor = form["product_id"], form.get("quantity", "1"), form["cursor"]
    quantity = whole(typed.strip())
    if quantity is None or not 1 <= quantity <= MAX_PIECES:
        return await show(visit, cursor, {product_id: typed})
    lines = [{"product_id": product_id, "quantity": quantity}]
    order = {"lines": lines, "payment_method": form["payment_method"]}
    try:
        placed = await visit.send("POST", "/orders", order, form.key)
    except Refused as refused:
        part = f"?{urlencode({'cursor': cursor})}" if cursor else ""
        return visit.go(f"{visit.root}/{part}", f"error.{refused.code}")
    return visit.go(f"{visit.root}/orders/{placed['order_id']}", "notice.ordered")
