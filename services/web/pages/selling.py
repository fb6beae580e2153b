"""A seller's products and score."""

from collections.abc import Set

from fastapi import APIRouter, Response

from services.web.formats import price, thousands
from services.web.upstream import Refused
from services.web.visits import Seller, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


@router.get("/products")
async def products(visit: Seller, cursor: str = "") -> Response:
    """The seller's own products."""
    return await _show(visit, {"title": "", "price": "", "stock": "10"}, cursor=cursor)


@router.post("/products")
async def offer(visit: Seller) -> Response:
    """Offers a product; a refused form is shown as it was typed, with its errors."""
    form = await visit.form()
    typed = {name: form[name] for name in ("title", "price", "stock")}
    numbers = {"price": price(typed["price"]), "stock": thousands(typed["stock"])}
    if wrong := {name for name, number in numbers.items() if number is None}:
        return await _show(visit, typed, wrong)
    try:
        await visit.send("POST", "/orders/products", {**typed, **numbers}, form.key)
    except Refused as refused:
        return await _show(visit, typed, refused.fields, problem="" if refused.fields else refused.code)
    return visit.go(f"{visit.root}/products", "notice.offered")


async def _show(
    visit: Visit, typed: dict[str, str], wrong: Set[str] = frozenset(), *, problem: str = "", cursor: str = ""
) -> Response:
    page = await visit.get("/orders/products", seller_id=str(visit.person.account_id), limit=50, cursor=cursor or None)
    status = 422 if wrong or problem else 200
    return visit.page("products.html", status, products=page["items"], next=page["next"], typed=typed, wrong=wrong,
                      problem=problem)  # fmt: skip


@router.get("/score")
async def score(visit: Seller) -> Response:
    """The score, with its arithmetic."""
    numbers = await visit.get(f"/orders/sellers/{visit.person.account_id}/score")
    by_seller, pieces = numbers["pieces_by_seller"], numbers["pieces"]
    return visit.page("score.html", score=numbers, percents=-(-100 * by_seller // pieces) if pieces else 0)
