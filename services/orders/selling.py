"""The part of the HTTP interface about sellers: their products, vouchers and scores."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field, StringConstraints, model_validator

from runtime.errors import NotFound
from runtime.http.app import Body, Cursor, Digits, Limit, Page, RetryOnConflict, UnitOfWorkDep
from runtime.http.auth import Seller
from runtime.http.idempotency import OncePerKey
from runtime.http.text import Printable, Visible
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.orders import counts, domain, products, vouchers
from services.orders.pricing import Voucher
from services.orders.views import ProductView, ScoreView, VoucherView, show_score, show_voucher

router = APIRouter(prefix="/orders", tags=["orders"], route_class=RetryOnConflict)

Price = Annotated[int, Field(ge=1, le=100_000_000)]
TitlePart = Annotated[
    Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), Printable],
    Query(description="a part of the title, in any case"),
]
MaxPrice = Annotated[Annotated[Price, Digits] | None, Query(description="in whole rupiah")]


class NewProduct(Body):
    """A product to sell; `price` in whole rupiah."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Visible]
    price: Price
    stock: Annotated[int, Field(ge=0, le=1_000_000)]
    listed: bool = True
    """Whether it is in the catalogue of all sellers, or only for those who have its id."""


class NewVoucher(Body):
    """A discount on this seller's products, in whole rupiah: `amount`, or `percent` of the lines up to `cap`; for lines
    of at least `minimum`. As many orders as `uses` can have it."""

    code: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,40}$")]
    amount: Price | None = None
    percent: Annotated[int, Field(ge=1, le=100)] | None = None
    cap: Price | None = None
    minimum: Annotated[int, Field(ge=0, le=1_000_000_000_000)] = 0
    uses: Annotated[int, Field(ge=1, le=1_000_000)]

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.amount is None) == (self.percent is None) or (self.percent is None) != (self.cap is None):
            raise ValueError("give either amount, or percent and cap")
        return self


@router.get("/products")
async def list_products(
    uow: UnitOfWorkDep,
    seller_id: UUID | None = None,
    title: TitlePart = "",
    max_price: MaxPrice = None,
    in_stock: bool = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ProductView]:
    """The catalogue, with the stock of each product; with `seller_id` all products of this seller, listed or not."""
    async with uow.begin() as tx:
        found = await products.products(tx, seller_id, cursor, limit, products.Wish(title, max_price, in_stock))
    items = [ProductView(**vars(product)) for product in found]
    return Page(items=items, next=items[-1].product_id if len(items) == limit else None)


@router.get("/products/{product_id}")
async def get_product(product_id: UUID, uow: UnitOfWorkDep) -> ProductView:
    """One product, listed or not."""
    async with uow.begin() as tx:
        found = await products.find(tx, product_id)
    if found is None:
        raise NotFound("There is no such product.")
    return ProductView(**vars(found))


@router.post("/products", status_code=201, response_model=ProductView)
async def add_product(body: NewProduct, seller: Seller, once: OncePerKey) -> Response:
    """Offers a product."""

    async def add(tx: Transaction) -> ProductView:
        domain.check_products(await products.count_products(tx, seller.account_id))
        product = products.Product(new_id(), seller.account_id, body.title, body.price, body.stock, body.listed)
        await products.add_product(tx, product)
        return ProductView(**vars(product))

    return await once(str(seller.account_id), add)


@router.get("/vouchers")
async def list_vouchers(
    seller: Seller, uow: UnitOfWorkDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[VoucherView]:
    """The seller's own vouchers, with how often each is used."""
    async with uow.begin() as tx:
        found = await vouchers.of_seller(tx, seller.account_id, cursor, limit)
    items = [show_voucher(offered) for offered in found]
    return Page(items=items, next=items[-1].voucher_id if len(items) == limit else None)


@router.post("/vouchers", status_code=201, response_model=VoucherView)
async def add_voucher(body: NewVoucher, seller: Seller, once: OncePerKey) -> Response:
    """Makes a voucher for the seller's products."""

    async def add(tx: Transaction) -> VoucherView:
        domain.check_vouchers(await vouchers.count(tx, seller.account_id))
        voucher = Voucher(body.code, body.minimum, body.amount, body.percent, body.cap)
        offered = vouchers.Offered(new_id(), voucher, body.uses)
        await vouchers.add(tx, seller.account_id, offered)
        return show_voucher(offered)

    return await once(str(seller.account_id), add)


@router.get("/sellers/{seller_id}/score")
async def seller_score(
    seller_id: UUID, uow: UnitOfWorkDep, pieces: Annotated[int | None, Query(ge=0, le=10_000)] = None
) -> ScoreView:
    """How reliable a seller is, with the numbers behind it, and with what `pieces` more that the seller cancels would
    make of them."""
    async with uow.begin() as tx:
        found = await counts.scores(tx, [seller_id])
    return show_score(seller_id, found[seller_id], pieces)


@router.get("/sellers")
async def seller_scores(
    seller_id: Annotated[list[UUID], Query(min_length=1, max_length=100)], uow: UnitOfWorkDep
) -> Page[ScoreView]:
    """As `/orders/sellers/{seller_id}/score`, of up to a hundred sellers."""
    async with uow.begin() as tx:
        found = await counts.scores(tx, list(dict.fromkeys(seller_id)))
    return Page(items=[show_score(one, score) for one, score in found.items()], next=None)
