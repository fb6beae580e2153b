"""The catalogue, for buyers, and placing an order."""

from urllib.parse import urlencode

from fastapi import APIRouter, Response

from runtime.numbers import whole
from services.web.upstream import Refused
from services.web.visits import Buyer, Form, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

ON_A_PAGE = 60
MAX_PIECES = 100
"""Of one product in an order."""
PAYMENTS = ("bank_transfer", "dana", "cod")


async def show(visit: Visit, cursor: str, typed: Form | None = None, wrong: str = "") -> Response:
    """The catalogue, page by page. `typed`: a refused form, whose field `wrong` is."""
    page = await visit.get("/orders/products", limit=ON_A_PAGE, cursor=cursor or None)
    return visit.page("shop.html", 422 if wrong else 200, products=page["items"], next=page.get("next"), cursor=cursor,
                      payments=PAYMENTS, typed=typed or Form(), wrong=wrong)  # fmt: skip


@router.post("/buy")
async def buy(visit: Buyer) -> Response:
    """Places an order for some pieces of one product, perhaps with a voucher."""
    form = await visit.form()
    form.setdefault("quantity", "1")
    quantity, cursor = whole(form["quantity"].strip()), form["cursor"]
    if quantity is None or not 1 <= quantity <= MAX_PIECES:
        return await show(visit, cursor, form, "quantity")
    lines = [{"product_id": form["product_id"], "quantity": quantity}]
    order = {"lines": lines, "payment_method": form["payment_method"]}
    if voucher := form["voucher"].strip():
        order["voucher"] = voucher
    try:
        placed = await visit.send("POST", "/orders", order, form.key)
    except Refused as refused:
        if refused.code == "voucher_not_usable" or "voucher" in refused.fields:
            return await show(visit, cursor, form, "voucher")
        part = f"?{urlencode({'cursor': cursor})}" if cursor else ""
        return visit.go(f"{visit.root}/{part}", f"error.{refused.code}")
    return visit.go(f"{visit.root}/orders/{placed['order_id']}", "notice.ordered")
