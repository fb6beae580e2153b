"""The HTTP interface of `orders`."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StringConstraints

from contracts.orders import (
    OrderCancelled,
    OrderCancelRequested,
    OrderDelivered,
    OrderLine,
    OrderPacked,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    RejectionCode,
    RequesterRole,
)
from contracts.words import Channel, OrderStatus, PaymentMethod
from runtime.errors import InvalidRequest, NotFound, Refusal
from runtime.http.app import Body, Cursor, Limit, Page, RetryOnConflict, UnitOfWorkDep
from runtime.http.auth import Buyer, BuyerOrSeller, Identity, Seller, SignedIn
from runtime.http.idempotency import OncePerKey
from runtime.http.text import BlankIsNone, Printable, Visible
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.orders import domain, products, store
from services.orders.domain import Order
from services.orders.reasons import REASONS, Reason, ReasonLabels
from services.orders.views import ClockView, OrderView, ProductView, ScoreView, show, show_score

router = APIRouter(prefix="/orders", tags=["orders"], route_class=RetryOnConflict)

REFUSALS: Mapping[str, type[Refusal]] = {
    RejectionCode.ALREADY_SHIPPED: domain.AlreadyShipped,
    RejectionCode.WINDOW_CLOSED: domain.WindowClosed,
    RejectionCode.ALREADY_CANCELLED: domain.AlreadyCancelled,
    RejectionCode.NOT_FOUND: NotFound,
}


class NewProduct(Body):
    """A product to sell; `price` in whole rupiah."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Visible]
    price: Annotated[int, Field(ge=1, le=100_000_000)]
    stock: Annotated[int, Field(ge=0, le=1_000_000)]
    listed: bool = True
    """Whether it is in the catalogue of all sellers, or only for those who have its id."""


class NewLine(Body):
    """Some pieces of one product."""

    product_id: Annotated[UUID, Field(strict=False)]
    quantity: Annotated[int, Field(ge=1, le=domain.MAX_PIECES)]


class NewOrder(Body):
    """What a buyer orders; all of it from one seller."""

    lines: Annotated[list[NewLine], Field(min_length=1, max_length=20)]
    payment_method: Annotated[PaymentMethod, Field(strict=False)]


class Cancel(Body):
    """Why the buyer cancels (A: the reason may be skipped)."""

    reason: Annotated[Reason | None, Field(strict=False)] = None
    note: Annotated[
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), Printable] | None, BlankIsNone
    ] = None


async def _pay_within(request: Request) -> timedelta:
    within: timedelta = request.app.state.pay_within
    return within


PayWithin = Annotated[timedelta, Depends(_pay_within)]


# First, because the framework tries one route after the other, and this one is used most.
@router.post("/{order_id}/cancel")
async def cancel(order_id: UUID, buyer: Buyer, uow: UnitOfWorkDep, body: Cancel | None = None) -> OrderView:
    """Cancels the order at once and for good. A repeated request gets the same answer; 409 says why it is refused."""
    async with uow.begin() as tx:
        order, now = await _lock_own(tx, order_id, buyer)
        if order.status is OrderStatus.CANCELLED:
            return show(order, now)
        request = OrderCancelRequested(
            cancellation_id=new_id(),
            order_id=order_id,
            channel=Channel(buyer.client),
            requested_by=buyer.account_id,
            role=RequesterRole.BUYER,
            reason=body.reason if body else None,
            note=body.note if body else None,
        )
        answer = domain.decide(order, request, now)
        tx.publish(request, answer)
        if isinstance(answer, OrderCancelled):
            return show(await store.cancel(tx, order, domain.cancellation(request, now)), now)
        # Beyond the limits nothing is published or kept.
        await store.count_refusal(tx, order_id, domain.MAX_REFUSED_OF_ORDER)
        await store.count_refusal(tx, buyer.account_id, domain.MAX_REFUSED)
    # The refusal is published as an event of its own, so it is committed before the response.
    raise REFUSALS[answer.code](answer.detail)


@router.get("/products")
async def list_products(
    uow: UnitOfWorkDep, seller_id: UUID | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[ProductView]:
    """The catalogue, with the stock of each product; with `seller_id` all products of this seller, listed or not."""
    async with uow.begin() as tx:
        found = await products.products(tx, seller_id, cursor, limit)
    items = [ProductView(**vars(product)) for product in found]
    return Page(items=items, next=items[-1].product_id if len(items) == limit else None)


@router.post("/products", status_code=201, response_model=ProductView)
async def add_product(body: NewProduct, seller: Seller, once: OncePerKey) -> Response:
    """Offers a product."""

    async def add(tx: Transaction) -> ProductView:
        domain.check_products(await products.count_products(tx, seller.account_id))
        product = products.Product(new_id(), seller.account_id, body.title, body.price, body.stock, body.listed)
        await products.add_product(tx, product)
        return ProductView(**vars(product))

    return await once(str(seller.account_id), add)


@router.get("/cancel-reasons")
async def cancel_reasons() -> Page[ReasonLabels]:
    """The reasons that can be given, in Indonesian and English."""
    return Page(items=REASONS, next=None)


@router.get("/clock")
async def clock(uow: UnitOfWorkDep) -> ClockView:
    """The time by which orders are judged; a browser's clock may differ, and a demonstration can move this one."""
    async with uow.begin() as tx:
        return ClockView(now=await tx.now())


@router.get("/sellers/{seller_id}/score")
async def seller_score(seller_id: UUID, uow: UnitOfWorkDep) -> ScoreView:
    """How reliable a seller is, with the numbers behind it."""
    async with uow.begin() as tx:
        return show_score(seller_id, await store.score(tx, seller_id))


@router.post("", status_code=201, response_model=OrderView)
async def place_order(body: NewOrder, buyer: Buyer, once: OncePerKey, pay_within: PayWithin) -> Response:
    """Places an order and reserves its stock. Cash on delivery is processed at once, any other order once it is paid,
    until `pay_by`."""

    async def place(tx: Transaction) -> OrderView:
        wanted: Counter[UUID] = Counter()
        for line in body.lines:
            wanted[line.product_id] += line.quantity
        if max(wanted.values()) > domain.MAX_PIECES:
            raise InvalidRequest(f"At most {domain.MAX_PIECES} pieces of one product in an order.")
        if body.payment_method is not PaymentMethod.COD:
            domain.check_unpaid(await store.count_unpaid(tx, buyer.account_id))
        reserved = await products.reserve(tx, wanted)
        if len(reserved) < len(wanted):
            raise InvalidRequest("There is no such product.")
        if len({product.seller_id for product in reserved}) > 1:
            raise InvalidRequest(
                "An order has one seller, but these products have several. Place one order for each seller."
            )
        lines = tuple(
            OrderLine(product_id=one.product_id, title=one.title, quantity=wanted[one.product_id], unit_price=one.price)
            for one in reserved
        )
        now = await tx.now()
        seller_id = reserved[0].seller_id
        order = domain.new_order(new_id(), buyer.account_id, seller_id, lines, body.payment_method, now, pay_within)
        await store.place(tx, order)
        tx.publish(OrderPlaced.model_validate(order, from_attributes=True))
        return show(order, now)

    return await once(str(buyer.account_id), place)


@router.get("")
async def list_orders(
    person: BuyerOrSeller,
    uow: UnitOfWorkDep,
    status: OrderStatus | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[OrderView]:
    """The orders of the buyer, or of the seller, newest first."""
    async with uow.begin() as tx:
        selling = person.role == "seller"
        orders, now = await store.page(
            tx, person.account_id, selling=selling, status=status, before=cursor, limit=limit
        )
    items = [show(order, now) for order in orders]
    return Page(items=items, next=items[-1].order_id if len(items) == limit else None)


@router.get("/{order_id}")
async def get_order(order_id: UUID, person: SignedIn, uow: UnitOfWorkDep) -> OrderView:
    """The order, for its buyer, its seller and agents."""
    async with uow.begin() as tx:
        order, now = await store.read(tx, order_id)
        if order is None or (person.role != "agent" and person.account_id not in (order.buyer_id, order.seller_id)):
            raise NotFound("There is no such order.")
        return show(order, now)


@router.post("/{order_id}/pay")
async def pay(order_id: UUID, buyer: Buyer, uow: UnitOfWorkDep) -> OrderView:
    """Confirms the payment, which is simulated. A repeated payment changes nothing, in any status of the order."""
    async with uow.begin() as tx:
        order, now = await _lock_own(tx, order_id, buyer)
        if not order.paid_amount or order.status is OrderStatus.CANCELLED:
            domain.check_payment(order, now)
            order = await store.move(tx, order, OrderStatus.PROCESSING, order.total)
            tx.publish(OrderPaid(order_id=order_id, buyer_id=order.buyer_id, amount=order.total))
        return show(order, now)


@router.post("/{order_id}/pack")
async def pack(order_id: UUID, seller: Seller, uow: UnitOfWorkDep) -> OrderView:
    """The seller has packed it ("Dikemas")."""
    return await _move(uow, order_id, seller, OrderStatus.PACKED, OrderPacked)


@router.post("/{order_id}/ship")
async def ship(order_id: UUID, seller: Seller, uow: UnitOfWorkDep) -> OrderView:
    """The seller has handed it to the courier ("Sedang dikirim"); it cannot be cancelled any more (A)."""
    return await _move(uow, order_id, seller, OrderStatus.SHIPPED, OrderShipped)


@router.post("/{order_id}/deliver")
async def deliver(order_id: UUID, seller: Seller, uow: UnitOfWorkDep) -> OrderView:
    """It has arrived ("Terkirim")."""
    return await _move(uow, order_id, seller, OrderStatus.DELIVERED, OrderDelivered)


async def _move(
    uow: UnitOfWorkDep,
    order_id: UUID,
    seller: Identity,
    to: OrderStatus,
    moved: type[OrderPacked] | type[OrderShipped] | type[OrderDelivered],
) -> OrderView:
    async with uow.begin() as tx:
        order, now = await _lock_own(tx, order_id, seller)
        domain.check_move(order, to)
        order = await store.move(tx, order, to, order.paid_amount)
        tx.publish(moved(order_id=order_id, seller_id=order.seller_id, at=now))
        return show(order, now)


async def _lock_own(tx: Transaction, order_id: UUID, person: Identity) -> tuple[Order, datetime]:
    order, now = await store.lock(tx, order_id)
    if order is None or person.account_id not in (order.buyer_id, order.seller_id):
        raise NotFound("There is no such order.")
    return order, now
