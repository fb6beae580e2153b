"""The catalogue, for buyers, a product of it, and placing an order."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Response

from runtime.numbers import whole
from services.web.upstream import Refused, ServiceAway
from services.web.visits import Buyer, Form, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

ON_A_PAGE = 60
MAX_PIECES = 100
"""Of one product in an order."""
PAYMENTS = ("bank_transfer", "dana", "cod")
PRICES = (150_000, 300_000, 500_000)
"""Up to which the catalogue can be filtered, in whole rupiah."""


async def show(visit: Visit, cursor: str, title: str, max_price: str, in_stock: str) -> Response:
    """The catalogue, page by page, as far as it matches the filters, each of which may be empty."""
    price = max_price if whole(max_price) in PRICES else ""
    filters = {"title": title[:100].strip(), "max_price": price, "in_stock": "true" if in_stock else ""}
    chosen = Form({name: text for name, text in filters.items() if text})
    try:
        page = await visit.get("/orders/products", limit=ON_A_PAGE, cursor=cursor or None, **chosen)
    except Refused as refused:
        if "title" not in refused.fields:  # it has characters that no title has
            raise
        page = {"items": [], "next": None}
    more = urlencode({**chosen, "cursor": page["next"]}) if page.get("next") else ""
    sellers = await sellers_of(visit, (product["seller_id"] for product in page["items"]))
    return visit.page("shop.html", products=page["items"], more=more, chosen=chosen, prices=PRICES, sellers=sellers)


@router.get("/products/{product_id}")
async def product(visit: Buyer, product_id: UUID) -> Response:
    """One product, with the form to order it."""
    return await _show_product(visit, product_id, Form(quantity="1"))


@router.post("/products/{product_id}")
async def buy(visit: Buyer, product_id: UUID) -> Response:
    """Places an order for some pieces of the product, perhaps with a voucher."""
    form = await visit.form()
    form.setdefault("quantity", "1")
    quantity = whole(form["quantity"].strip())
    if quantity is None or not 1 <= quantity <= MAX_PIECES:
        return await _show_product(visit, product_id, form, "quantity")
    lines = [{"product_id": str(product_id), "quantity": quantity}]
    order = {"lines": lines, "payment_method": form["payment_method"]}
    if voucher := form["voucher"].strip():
        order["voucher"] = voucher
    try:
        placed = await visit.send("POST", "/orders", order, form.key)
    except Refused as refused:
        if refused.code == "voucher_not_usable" or "voucher" in refused.fields:
            return await _show_product(visit, product_id, form, "voucher")
        return await _show_product(visit, product_id, form, refused=refused.code)
    return visit.go(f"{visit.root}/orders/{placed['order_id']}", "notice.ordered")


async def _show_product(visit: Visit, product_id: UUID, typed: Form, wrong: str = "", *, refused: str = "") -> Response:
    """The product. `typed`: what its form has, of which the field `wrong` is refused, or all of it."""
    found = await visit.get(f"/orders/products/{product_id}")
    sellers = await sellers_of(visit, [found["seller_id"]])
    status = 409 if refused else 422 if wrong else 200
    return visit.page("product.html", status, refused=refused, product=found, seller=sellers.get(found["seller_id"]),
                      payments=PAYMENTS, typed=typed, wrong=wrong)  # fmt: skip


async def sellers_of(visit: Visit, seller_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The `name` and the `rating` of each seller, without those of a service that is away."""
    ids = list(dict.fromkeys(seller_ids))
    found: dict[str, dict[str, Any]] = {one: {"name": "", "rating": None} for one in ids}

    async def names() -> None:
        for one in await visit.get("/accounts/sellers", account_id=ids):
            found[one["account_id"]]["name"] = one["name"]

    async def ratings() -> None:
        for one in (await visit.get("/orders/sellers", seller_id=ids))["items"]:
            found[one["seller_id"]]["rating"] = one["rating"]

    async def ask(what: Any) -> None:
        with contextlib.suppress(Refused, ServiceAway):
            await what()

    if ids:
        await asyncio.gather(ask(names), ask(ratings))
    return found
