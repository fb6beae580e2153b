"""What a seller offers, and how reliable it looks."""

from fastapi import APIRouter, Response

from services.web.formats import whole
from services.web.visits import Seller

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)


@router.get("/products")
async def products(visit: Seller, cursor: str = "") -> Response:
    """The seller's own products."""
    assert visit.who is not None
    page = await visit.get("/orders/products", seller_id=str(visit.who.account_id), limit=50, cursor=cursor or None)
    return visit.page("products.html", products=page["items"], next=page["next"])


@router.post("/products")
async def offer(visit: Seller) -> Response:
    """Offers a product."""
    form = await visit.form()
    numbers = {key: str(form.get(key, "")).replace(".", "").strip() for key in ("price", "stock")}
    body = {"title": str(form.get("title", ""))} | {name: whole(said, -1) for name, said in numbers.items()}
    key = str(form.get("key", "")) or None
    return await visit.do(
        "POST", "/orders/products", body, then=f"{visit.root}/products", notice="notice.offered", key=key
    )


@router.get("/score")
async def score(visit: Seller) -> Response:
    """The score, with its arithmetic."""
    assert visit.who is not None
    numbers = await visit.get(f"/orders/sellers/{visit.who.account_id}/score")
    by_seller, orders = numbers["cancellations"]["seller"], numbers["orders"]
    return visit.page("score.html", score=numbers, percents=-(-100 * by_seller // orders) if orders else 0)
