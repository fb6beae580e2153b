"""The rules of orders and their cancellation. Pure: time and ids come in as arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from contracts.orders import (
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderLine,
    RejectionCode,
    RequesterRole,
)
from contracts.words import Channel, Destination, Fault, OrderStatus, PaymentMethod
from runtime.errors import Refusal, WrongState

WINDOW = timedelta(hours=24)
"""A: the buyer may cancel an order that is at most 1 × 24 hours old, counted from placing it."""
NOT_PAID = "not_paid"
"""The reason of a cancellation by `system`: the order was not paid in time (M)."""
MAX_UNPAID = 10
"""Orders of one buyer that wait for their payment at the most: they hold stock (M)."""
MAX_PIECES = 100
"""Pieces of one product in an order (M)."""
MAX_PRODUCTS = 1000
"""Products of one seller (M)."""
MAX_REFUSED_OF_ORDER, MAX_REFUSED, REFUSED_WITHIN = 20, 1000, timedelta(hours=1)
"""Refused cancellations of one order and of one buyer, and in which time (M). Granted ones are not limited."""


FOLLOWS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.UNPAID: frozenset({OrderStatus.PROCESSING, OrderStatus.CANCELLED}),
    OrderStatus.PROCESSING: frozenset({OrderStatus.PACKED, OrderStatus.CANCELLED}),
    OrderStatus.PACKED: frozenset({OrderStatus.SHIPPED, OrderStatus.CANCELLED}),
    OrderStatus.SHIPPED: frozenset({OrderStatus.DELIVERED}),
    OrderStatus.DELIVERED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
}
"""The statuses that may follow each status. A: once it has shipped, an order cannot be cancelled."""


class AlreadyShipped(Refusal):
    """A: an order that is on its way cannot be cancelled."""

    code, title = RejectionCode.ALREADY_SHIPPED.value, "The order has shipped already"


class WindowClosed(Refusal):
    """A: more than 1 × 24 hours have passed since the order was placed."""

    code, title = RejectionCode.WINDOW_CLOSED.value, "The order is older than 24 hours"


class AlreadyCancelled(Refusal):
    """The order is cancelled already."""

    code, title = RejectionCode.ALREADY_CANCELLED.value, "The order is cancelled already"


class NotPaid(Refusal):
    """M: the time to pay is over."""

    code, title = NOT_PAID, "The order was not paid in time"


class TooManyUnpaid(Refusal):
    """M: too many of the buyer's orders hold stock and are not paid."""

    code, title = "too_many_unpaid", "Too many unpaid orders"


class TooManyProducts(Refusal):
    """M: the seller has the maximum of products."""

    code, title = "too_many_products", "Too many products"


@dataclass(frozen=True)
class Cancellation:
    """How an order was cancelled."""

    cancellation_id: UUID
    channel: Channel | str
    requested_by: UUID | None
    role: RequesterRole | str
    reason: str | None
    note: str | None
    fault: Fault | str
    at: datetime


@dataclass(frozen=True)
class Step:
    """One entry in an order's history."""

    status: OrderStatus
    at: datetime


@dataclass(frozen=True)
class Refund:
    """The latest state of a cancelled order's refund, as `refunds` published it: `sending` or `issued`."""

    refund_id: UUID
    state: str
    amount: int
    destination: Destination | str


@dataclass(frozen=True)
class Order:
    """One buyer, one seller, some products. Amounts are whole rupiah; `version` counts the statuses, from 1."""

    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    status: OrderStatus
    lines: tuple[OrderLine, ...]
    total: int
    payment_method: PaymentMethod
    paid_amount: int
    placed_at: datetime
    version: int
    pay_by: datetime | None = None
    """Until when it can be paid; None when it is paid, cancelled, or cash on delivery."""
    cancellation: Cancellation | None = None
    history: tuple[Step, ...] = ()
    """The oldest step first; one for each version."""
    refund: Refund | None = None


def new_order(
    order_id: UUID,
    buyer_id: UUID,
    seller_id: UUID,
    lines: tuple[OrderLine, ...],
    method: PaymentMethod,
    at: datetime,
    pay_within: timedelta,
) -> Order:
    """An order as it is placed: it waits for its payment, or with cash on delivery is in process at once."""
    status = OrderStatus.PROCESSING if method is PaymentMethod.COD else OrderStatus.UNPAID
    total = sum(line.quantity * line.unit_price for line in lines)
    first = (Step(status, at),)
    pay_by = at + pay_within if status is OrderStatus.UNPAID else None
    return Order(order_id, buyer_id, seller_id, status, lines, total, method, 0, at, 1, pay_by, history=first)


def check_unpaid(unpaid: int) -> None:
    """Raises `TooManyUnpaid` if a buyer with so many unpaid orders may not place another one (M)."""
    if unpaid >= MAX_UNPAID:
        raise TooManyUnpaid(f"At most {MAX_UNPAID} orders may wait for their payment. Pay or cancel one of them.")


def check_products(offered: int) -> None:
    """Raises `TooManyProducts` if a seller with so many products may not offer another one (M)."""
    if offered >= MAX_PRODUCTS:
        raise TooManyProducts(f"A seller offers at most {MAX_PRODUCTS} products.")


def check_payment(order: Order, now: datetime) -> None:
    """Raises `NotPaid` when the time to pay is over (M), also if the order is not cancelled yet; `WrongState` when
    there is nothing to pay."""
    if order.payment_method is PaymentMethod.COD:
        raise WrongState("Cash on delivery is paid to the courier.")
    expired = order.cancellation is not None and order.cancellation.reason == NOT_PAID
    if expired or (order.pay_by is not None and now >= order.pay_by):
        raise NotPaid("The time to pay is over, and the order is cancelled. Place a new order.")
    check_move(order, OrderStatus.PROCESSING)


def check_move(order: Order, to: OrderStatus) -> None:
    """Raises `WrongState` if `to` may not follow the order's status."""
    if to not in FOLLOWS[order.status]:
        raise WrongState(f"The order is {order.status}, so it cannot become {to}.")


def refusal(order: Order, channel: Channel | str, now: datetime) -> Refusal | None:
    """Why the order cannot be cancelled through this channel at this time; None if it can.

    A: never once it has shipped; in the app and on the website only within 24 hours of placing it. The 24 hours do
    not bind the seller (chat) and customer service (cs) (M).
    """
    if order.status is OrderStatus.CANCELLED:
        return AlreadyCancelled()
    if OrderStatus.CANCELLED not in FOLLOWS[order.status]:
        return AlreadyShipped("An order that is on its way cannot be cancelled.")
    if channel in (Channel.APP, Channel.WEB) and now - order.placed_at > WINDOW:
        return WindowClosed("An order can be cancelled within 1 × 24 hours of placing it.")
    return None


def is_entitled(order: Order, request: OrderCancelRequested) -> bool:
    """Whether the requester may cancel this order through this channel."""
    if request.channel in (Channel.APP, Channel.WEB):
        return request.role is RequesterRole.BUYER and request.requested_by == order.buyer_id
    if request.channel is Channel.CHAT:
        return request.role is RequesterRole.SELLER and request.requested_by == order.seller_id
    return request.channel is Channel.CS and request.role in (RequesterRole.AGENT, RequesterRole.SYSTEM)


def fault_of(request: OrderCancelRequested) -> Fault:
    """Who is at fault. A: a seller who cancels loses score; one who stays silent, too (M)."""
    if request.channel in (Channel.APP, Channel.WEB):
        return Fault.BUYER
    return Fault.PLATFORM if request.role is RequesterRole.AGENT else Fault.SELLER


def expiry(order: Order, cancellation_id: UUID, now: datetime) -> Cancellation | None:
    """The automatic cancellation of an order whose time to pay is over (M); None if it is not unpaid any more."""
    if order.status is not OrderStatus.UNPAID:
        return None
    return Cancellation(cancellation_id, Channel.SYSTEM, None, RequesterRole.SYSTEM, NOT_PAID, None, Fault.NONE, now)


def cancelled_event(order: Order, cancellation: Cancellation) -> OrderCancelled:
    """The event of an order's cancellation: the same each time that it is published, but for what is known of the
    refund by then."""
    refund = order.refund
    arrived = refund.destination if refund and refund.state == "issued" else None
    known = {"refund_id": refund and refund.refund_id, "refunded_to": arrived}
    return OrderCancelled.model_validate(vars(order) | vars(cancellation) | known)


def is_repeat(order: Order | None, request: OrderCancelRequested) -> bool:
    """Whether this request was granted before."""
    return bool(order and order.cancellation and order.cancellation.cancellation_id == request.cancellation_id)


def decide(order: Order | None, request: OrderCancelRequested, now: datetime) -> OrderCancelled | OrderCancelRejected:
    """The answer to a request, in each of the four ways. A repeated request gets the same answer: what was granted is
    published as it was, and what was rejected stays rejected, because no reason to reject ever ends."""

    def rejected(code: RejectionCode, detail: str) -> OrderCancelRejected:
        return OrderCancelRejected(
            cancellation_id=request.cancellation_id, order_id=request.order_id, code=code, detail=detail
        )

    if order is not None and order.cancellation is not None and is_repeat(order, request):
        return cancelled_event(order, order.cancellation)
    if order is None or not is_entitled(order, request):
        return rejected(RejectionCode.NOT_FOUND, "There is no such order, or it belongs to another account.")
    if refused := refusal(order, request.channel, now):
        return rejected(RejectionCode(refused.code), refused.detail)
    return cancelled_event(order, cancellation(request, now))


def cancellation(request: OrderCancelRequested, now: datetime) -> Cancellation:
    """The cancellation that granting this request makes."""
    fault, asked = fault_of(request), request
    return Cancellation(
        asked.cancellation_id, asked.channel, asked.requested_by, asked.role, asked.reason, asked.note, fault, now
    )


@dataclass(frozen=True)
class Score:
    """How reliable a seller is: the orders received, those cancelled by whose fault, and what follows from them.
    Orders that were paid or are cash on delivery count, no others (M)."""

    orders: int
    by_seller: int
    by_buyer: int
    by_platform: int

    @property
    def cancellation_rate(self) -> float:
        """The part of all orders that was cancelled through the seller's fault, 0 to 1."""
        return round(self.by_seller / self.orders, 4) if self.orders else 0.0

    @property
    def rating(self) -> float:
        """1.0 to 5.0: five, less a tenth for each percent, started percents included, of the cancellation rate (M)."""
        percents = -(-100 * self.by_seller // self.orders) if self.orders else 0
        return max(10, 50 - percents) / 10

    def after_cancelling(self) -> "Score":
        """The score if the seller cancelled one more of these orders; unchanged if none is left to cancel."""
        return replace(self, by_seller=min(self.by_seller + 1, self.orders))
