"""A seller's products, vouchers and score."""

from collections.abc import Mapping, Set

from fastapi import APIRouter, Response

from runtime.numbers import whole
from services.web.formats import price, thousands
from services.web.upstream import Refused
from services.web.visits import Seller, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


VOUCHER = {"code": "", "kind": "amount", "amount": "", "percent": "", "cap": "", "minimum": "", "uses": "100"}
"""The form of a new voucher."""


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


@router.get("/vouchers")
async def vouchers(visit: Seller, cursor: str = "") -> Response:
    """The seller's vouchers, with the uses that are left."""
    return await _show_vouchers(visit, VOUCHER, cursor=cursor)


@router.post("/vouchers")
async def add_voucher(visit: Seller) -> Response:
    """Makes a voucher, of an amount or of a percentage with a cap; a refused form is shown as with products."""
    form = await visit.form()
    typed = {name: form[name] for name in VOUCHER}
    numbers = {"minimum": price(typed["minimum"] or "0"), "uses": thousands(typed["uses"])}
    if typed["kind"] == "percent":
        numbers |= {"percent": whole(typed["percent"].strip(" %")), "cap": price(typed["cap"])}
    else:
        numbers |= {"amount": price(typed["amount"])}
    if wrong := {name: f"wrong.{name}" for name, number in numbers.items() if number is None}:
        return await _show_vouchers(visit, typed, wrong)
    try:
        await visit.send("POST", "/orders/vouchers", {"code": typed["code"].strip(), **numbers}, form.key)
    except Refused as refused:
        wrong = {name: f"wrong.{name}" for name in refused.fields & typed.keys()}
        if refused.code == "voucher_exists":
            wrong = {"code": "error.voucher_exists"}
        return await _show_vouchers(visit, typed, wrong, problem="" if wrong else refused.code)
    return visit.go(f"{visit.root}/vouchers", "notice.voucher_added")


async def _show_vouchers(
    visit: Visit, typed: dict[str, str], wrong: Mapping[str, str] = {}, *, problem: str = "", cursor: str = ""
) -> Response:
    """`wrong`: the words beside a field."""
    page = await visit.get("/orders/vouchers", limit=50, cursor=cursor or None)
    status = 422 if wrong or problem else 200
    return visit.page("vouchers.html", status, vouchers=page["items"], next=page["next"], typed=typed, wrong=wrong,
                      problem=problem)  # fmt: skip


@router.get("/score")
async def score(visit: Seller) -> Response:
    """The score, with its arithmetic."""
    numbers = await visit.get(f"/orders/sellers/{visit.person.account_id}/score")
    earlier = {"pieces": numbers["orders"], "pieces_by_seller": numbers["cancellations"]["seller"]}
    shown = earlier | numbers
    by_seller, pieces = shown["pieces_by_seller"], shown["pieces"]
    return visit.page("score.html", score=shown, percents=-(-100 * by_seller // pieces) if pieces else 0)
