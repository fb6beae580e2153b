"""The HTTP interface of `orders`."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StringConstraints

from contracts.orders import (
    OrderCancelRejected,
    OrderCancelRequested,
    OrderDelivered,
    OrderLine,
    OrderPacked,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    Pieces,
    RequesterRole,
)
from contracts.words import Channel, OrderStatus, PaymentMethod
from runtime.errors import InvalidRequest, NotFound, Refusal, WrongState
from runtime.http.app import Body, Cursor, Limit, Page, RetryOnConflict, UnitOfWorkDep
from runtime.http.auth import Buyer, BuyerOrSeller, Identity, Seller, SignedIn
from runtime.http.idempotency import KEY_DOCUMENTED, KeyRequired, OncePerKey, key_of, once_per_key
from runtime.http.text import BlankIsNone, Printable
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.orders import cancelling, counts, domain, products, selling, store, vouchers
from services.orders.domain import Order, Terms
from services.orders.pricing import NotEnoughLeft, gross
from services.orders.reasons import REASONS, Reason, ReasonLabels
from services.orders.views import ClockView, OrderView, show

router = APIRouter(prefix="/orders", tags=["orders"], route_class=RetryOnConflict)

REFUSALS: Mapping[str, type[Refusal]] = {
    one.code: one
    for one in (
        cancelling.AlreadyShipped,
        cancelling.WindowClosed,
        cancelling.AlreadyCancelled,
        cancelling.BelowVoucherMinimum,
        NotEnoughLeft,
        WrongState,
        NotFound,
    )
}


class NewLine(Body):
    """Some pieces of one product."""

    product_id: Annotated[UUID, Field(strict=False)]
    quantity: Annotated[int, Field(ge=1, le=domain.MAX_PIECES)]


class NewOrder(Body):
    """What a buyer orders; all of it from one seller, perhaps with a voucher's code."""

    lines: Annotated[list[NewLine], Field(min_length=1, max_length=20)]
    payment_method: Annotated[PaymentMethod, Field(strict=False)]
    voucher: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40), Printable] | None = (
        None
    )


class Line(Body):
    """Some pieces of one product to cancel. More than there are is no mistake of the form: it is rejected."""

    product_id: Annotated[UUID, Field(strict=False)]
    quantity: Annotated[int, Field(ge=1, le=2**31 - 1)]


class Cancel(Body):
    """Why the buyer cancels (A: the reason may be skipped), and which pieces; without `lines` all that are left."""

    reason: Annotated[Reason | None, Field(strict=False)] = None
    note: Annotated[
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), Printable] | None, BlankIsNone
    ] = None
    lines: Annotated[list[Line], Field(min_length=1, max_length=20)] | None = None


async def _terms(request: Request) -> Terms:
    terms: Terms = request.app.state.terms
    return terms


TermsDep = Annotated[Terms, Depends(_terms)]


# First, because the framework tries one route after the other, and this one is used most.
@router.post("/{order_id}/cancel", response_model=OrderView, openapi_extra=KEY_DOCUMENTED)
async def cancel(
    order_id: UUID, buyer: Buyer, uow: UnitOfWorkDep, http: Request, body: Cancel | None = None
) -> OrderView | Response:
    """Cancels the order at once and for good, or with `lines` these pieces, for which it needs an `Idempotency-Key`. A
    repeated request gets the same answer; 409 says why it is refused."""
    why, key = body or Cancel(), key_of(http)

    async def act(tx: Transaction, find: store.Find = store.lock) -> OrderView | Refusal:
        order, now = await _find_own(tx, order_id, buyer, find)
        if order.status is OrderStatus.CANCELLED:
            return show(order, now)
        request = OrderCancelRequested(
            cancellation_id=new_id(),
            order_id=order_id,
            channel=Channel(buyer.client),
            requested_by=buyer.account_id,
            role=RequesterRole.BUYER,
            reason=why.reason,
            note=why.note,
            lines=None if why.lines is None else tuple(Pieces(**vars(line)) for line in why.lines),
        )
        answer = cancelling.decide(order, request, now)
        if not isinstance(answer, OrderCancelRejected):
            tx.publish(request, cancelling.cancelled_event(order, answer))
            return show(await store.cancel(tx, order, answer), now)
        if find is store.lock:
            tx.publish(request, answer)
            # Beyond the limits nothing is published or kept.
            await store.count_refusal(tx, order_id, cancelling.MAX_REFUSED_OF_ORDER)
            await store.count_refusal(tx, buyer.account_id, cancelling.MAX_REFUSED)
        return REFUSALS[answer.code](answer.detail)

    if why.lines is not None and key is None:
        raise KeyRequired("Send an Idempotency-Key, so that a repeated request cancels no further pieces.")
    if key is not None:
        return await (await once_per_key(http, uow, key))(str(buyer.account_id), act, 200)
    done: OrderView | Refusal | None = None
    with suppress(store.ChangedMeanwhile):  # two statements, if it is granted and the order is as it was read
        async with uow.begin(autocommit=True) as tx:
            done = await act(tx, store.read)
    if not isinstance(done, OrderView):
        async with uow.begin() as tx:
            done = await act(tx)
    if isinstance(done, Refusal):  # it is published as an event of its own, so it is committed before the response
        raise done
    return done


router.routes += selling.router.routes


@router.get("/cancel-reasons")
async def cancel_reasons() -> Page[ReasonLabels]:
    """The reasons that can be given, in Indonesian and English."""
    return Page(items=REASONS, next=None)


@router.get("/clock")
async def clock(uow: UnitOfWorkDep) -> ClockView:
    """The time by which orders are judged; a browser's clock may differ, and a demonstration can move this one."""
    async with uow.begin() as tx:
        return ClockView(now=await tx.now())


@router.post("", status_code=201, response_model=OrderView)
async def place_order(body: NewOrder, buyer: Buyer, once: OncePerKey, terms: TermsDep) -> Response:
    """Places an order and reserves its stock. Cash on delivery is processed at once, any other order once it is paid,
    until `pay_by`."""

    return await once(str(buyer.account_id), lambda tx: place(tx, new_id(), buyer.account_id, body, terms))


async def place(tx: Transaction, order_id: UUID, buyer_id: UUID, body: NewOrder, terms: Terms) -> OrderView:
    """Adds the order under this id."""
    wanted: Counter[UUID] = Counter()
    for line in body.lines:
        wanted[line.product_id] += line.quantity
    if max(wanted.values()) > domain.MAX_PIECES:
        raise InvalidRequest(f"At most {domain.MAX_PIECES} pieces of one product in an order.")
    if body.payment_method is not PaymentMethod.COD:
        domain.check_unpaid(await store.count_unpaid(tx, buyer_id))
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
    seller_id, voucher = reserved[0].seller_id, None
    if body.voucher is not None:
        voucher = await vouchers.use(tx, seller_id, body.voucher, gross(lines))
    ids, now = (order_id, buyer_id, seller_id), await tx.now()
    order = domain.new_order(*ids, lines, body.payment_method, now, terms, voucher)
    await store.place(tx, order)
    tx.publish(OrderPlaced.model_validate(order, from_attributes=True))
    return show(order, now)


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
        orders, now = await store.page(
            tx, person.account_id, selling=person.role == "seller", status=status, before=cursor, limit=limit
        )
    items = [show(order, now) for order in orders]
    return Page(items=items, next=items[-1].order_id if len(items) == limit else None)


@router.get("/counts")
async def count_orders(person: BuyerOrSeller, uow: UnitOfWorkDep) -> dict[OrderStatus, int]:
    """How many of the newest thousand orders of the buyer, or of the seller, have which status."""
    async with uow.begin() as tx:
        return await counts.by_status(tx, person.account_id, selling=person.role == "seller")


@router.get("/{order_id}")
async def get_order(order_id: UUID, person: SignedIn, uow: UnitOfWorkDep) -> OrderView:
    """The order, for its buyer, its seller and agents."""
    async with uow.begin() as tx:
        order, now = await store.read(tx, order_id)
        if order is None or (person.role != "agent" and person.account_id not in (order.buyer_id, order.seller_id)):
            raise NotFound("There is no such order.")
        return show(order, now)


@router.post("/{order_id}/pay")
async def pay(order_id: UUID, buyer: Buyer, uow: UnitOfWorkDep, terms: TermsDep) -> OrderView:
    """Confirms the payment, which is simulated. A repeated payment changes nothing, in any status of the order."""
    async with uow.begin() as tx:
        order, now = await _find_own(tx, order_id, buyer)
        if not domain.is_paid(order):
            domain.check_payment(order, now)
            order = await store.move(tx, order, OrderStatus.PROCESSING, order.total, now + terms.ship_within)
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
        order, now = await _find_own(tx, order_id, seller)
        domain.check_move(order, to)
        ship_by = order.ship_by if to is OrderStatus.PACKED else None
        order = await store.move(tx, order, to, order.paid_amount, ship_by)
        tx.publish(moved(order_id=order_id, seller_id=order.seller_id, at=now))
        return show(order, now)


async def _find_own(
    tx: Transaction, order_id: UUID, person: Identity, find: store.Find = store.lock
) -> tuple[Order, datetime]:
    order, now = await find(tx, order_id)
    if order is None or person.account_id not in (order.buyer_id, order.seller_id):
        raise NotFound("There is no such order.")
    return order, now
