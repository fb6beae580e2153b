"""The rules of an order's life, and above all of its end. Pure: time and ids come in as arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from contracts.orders import (
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderLine,
    RejectionCode,
    RequesterRole,
)
from contracts.words import Channel, Destination, Fault, PaymentMethod
from runtime.problems import Problem, WrongState

WINDOW = timedelta(hours=24)
"""A: the buyer may cancel an order that is at most 1 × 24 hours old, counted from placing it."""


class Status(StrEnum):
    """Where an order stands. A: "Sedang diproses", "Dikemas", "Sedang dikirim", "Terkirim", "Dibatalkan"."""

    UNPAID = "unpaid"
    PROCESSING = "processing"
    PACKED = "packed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


FOLLOWS: Mapping[Status, frozenset[Status]] = {
    Status.UNPAID: frozenset({Status.PROCESSING, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.PACKED, Status.CANCELLED}),
    Status.PACKED: frozenset({Status.SHIPPED, Status.CANCELLED}),
    Status.SHIPPED: frozenset({Status.DELIVERED}),
    Status.DELIVERED: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""What may come after each status. A: once it has shipped, an order cannot be cancelled."""


class AlreadyShipped(Problem):
    """A: an order that is on its way cannot be cancelled."""

    status, code, title = 409, RejectionCode.ALREADY_SHIPPED.value, "The order has shipped already"


class WindowClosed(Problem):
    """A: more than 1 × 24 hours have passed since the order was placed."""

    status, code, title = 409, RejectionCode.WINDOW_CLOSED.value, "The order is older than 24 hours"


class AlreadyCancelled(Problem):
    """There is nothing left to cancel."""

    status, code, title = 409, RejectionCode.ALREADY_CANCELLED.value, "The order is cancelled already"


@dataclass(frozen=True)
class Cancellation:
    """How an order came to be cancelled."""

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

    status: Status
    at: datetime


@dataclass(frozen=True)
class Refund:
    """What `refunds` said last about the money for a cancelled order."""

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
    status: Status
    lines: tuple[OrderLine, ...]
    total: int
    payment_method: PaymentMethod
    paid_amount: int
    placed_at: datetime
    version: int
    cancellation: Cancellation | None = None
    history: tuple[Step, ...] = ()
    """The oldest step first; one for each version."""
    refund: Refund | None = None


def new_order(
    order_id: UUID, buyer_id: UUID, seller_id: UUID, lines: tuple[OrderLine, ...], method: PaymentMethod, at: datetime
) -> Order:
    """An order as it is placed: it waits for its payment, or with cash on delivery is in process at once."""
    status = Status.PROCESSING if method is PaymentMethod.COD else Status.UNPAID
    total = sum(line.quantity * line.unit_price for line in lines)
    first = (Step(status, at),)
    return Order(order_id, buyer_id, seller_id, status, lines, total, method, 0, at, 1, history=first)


def check_move(order: Order, to: Status) -> None:
    """Raises `WrongState` if `to` may not follow the order's status."""
    if to not in FOLLOWS[order.status]:
        raise WrongState(f"The order is {order.status}, so it cannot become {to}.")


def refusal(order: Order, channel: Channel | str, now: datetime) -> Problem | None:
    """Why the order cannot be cancelled through this channel at this time; None if it can.

    A: never once it has shipped; in the app and on the website only within 24 hours of placing it. The seller (chat)
    and customer service (cs) are not bound by the 24 hours (M).
    """
    if order.status is Status.CANCELLED:
        return AlreadyCancelled()
    if Status.CANCELLED not in FOLLOWS[order.status]:
        return AlreadyShipped("An order that is on its way cannot be cancelled.")
    if channel in (Channel.APP, Channel.WEB) and now - order.placed_at > WINDOW:
        return WindowClosed("An order can be cancelled within 1 × 24 hours of placing it.")
    return None


def is_entitled(order: Order, request: OrderCancelRequested) -> bool:
    """Whether who asks is somebody who may have this order cancelled through this channel."""
    if request.channel in (Channel.APP, Channel.WEB):
        return request.role is RequesterRole.BUYER and request.requested_by == order.buyer_id
    if request.channel is Channel.CHAT:
        return request.role is RequesterRole.SELLER and request.requested_by == order.seller_id
    return request.channel is Channel.CS and request.role in (RequesterRole.AGENT, RequesterRole.SYSTEM)


def fault_of(request: OrderCancelRequested) -> Fault:
    """On whose account the cancellation goes. A: a seller who cancels loses score; one who stays silent, too (M)."""
    if request.channel in (Channel.APP, Channel.WEB):
        return Fault.BUYER
    return Fault.PLATFORM if request.role is RequesterRole.AGENT else Fault.SELLER


def decide(
    order: Order | None, request: OrderCancelRequested, now: datetime
) -> OrderCancelled | OrderCancelRejected | None:
    """The one answer to a request, whichever of the four ways it came; None if this very request was granted before."""

    def rejected(code: RejectionCode, detail: str) -> OrderCancelRejected:
        return OrderCancelRejected(
            cancellation_id=request.cancellation_id, order_id=request.order_id, code=code, detail=detail
        )

    if order is None or not is_entitled(order, request):
        return rejected(RejectionCode.NOT_FOUND, "There is no such order for who asks.")
    if order.cancellation and order.cancellation.cancellation_id == request.cancellation_id:
        return None
    if refused := refusal(order, request.channel, now):
        return rejected(RejectionCode(refused.code), refused.detail)
    return OrderCancelled(
        cancellation_id=request.cancellation_id,
        order_id=order.order_id,
        buyer_id=order.buyer_id,
        seller_id=order.seller_id,
        channel=request.channel,
        paid_amount=order.paid_amount,
        fault=fault_of(request),
    )


@dataclass(frozen=True)
class Score:
    """How reliable a seller is: the orders received, those cancelled by whose fault, and what follows from them."""

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
        """The score, if the seller cancelled one more of these orders; unchanged if there is none left to cancel."""
        return replace(self, by_seller=min(self.by_seller + 1, self.orders))
