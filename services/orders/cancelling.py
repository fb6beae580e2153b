"""Which cancellation is allowed, and what it is. Pure: time and ids come in as arguments."""

from datetime import datetime, timedelta
from uuid import UUID

from contracts.cs import ANSWER_WITHIN
from contracts.orders import (
    CancelledPieces,
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderItemsCancelled,
    RejectionCode,
    RequesterRole,
)
from contracts.words import Channel, Fault, OrderStatus
from runtime.errors import NotFound, Refusal, WrongState
from services.orders import pricing
from services.orders.domain import FOLLOWS, NOT_PAID, NOT_SHIPPED, Cancellation, Order, is_to_ship

WINDOW = timedelta(hours=24)
"""A: the buyer may cancel an order that is at most 1 × 24 hours old, counted from placing it."""
MAX_REFUSED_OF_ORDER, MAX_REFUSED, REFUSED_WITHIN = 20, 1000, timedelta(hours=1)
"""Refused cancellations of one order and of one buyer, and in which time (M). Granted ones are not limited."""


class AlreadyShipped(Refusal):
    """A: an order that is on its way cannot be cancelled."""

    code, title = RejectionCode.ALREADY_SHIPPED.value, "The order has shipped already"


class WindowClosed(Refusal):
    """A: more than 1 × 24 hours have passed since the order was placed."""

    code, title = RejectionCode.WINDOW_CLOSED.value, "The order is older than 24 hours"


class AlreadyCancelled(Refusal):
    """The order is cancelled already."""

    code, title = RejectionCode.ALREADY_CANCELLED.value, "The order is cancelled already"


class BelowVoucherMinimum(Refusal):
    """M: what is left of the order would be too little for its voucher."""

    code, title = RejectionCode.BELOW_VOUCHER_MINIMUM.value, "Too little is left for the voucher"


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
    """Who is at fault. A: a seller who cancels loses score; one who stays silent, too (M). No service asks as an agent
    today; the platform would be at fault."""
    if request.channel in (Channel.APP, Channel.WEB):
        return Fault.BUYER
    return Fault.PLATFORM if request.role is RequesterRole.AGENT else Fault.SELLER


def expiry(order: Order, cancellation_id: UUID, now: datetime) -> Cancellation | None:
    """The automatic cancellation of an unpaid order whose time to pay is over, or of one that is not shipped in time
    (M); None for all others."""
    if order.status is OrderStatus.UNPAID:
        reason, fault = NOT_PAID, Fault.NONE
    elif is_to_ship(order) and order.ship_by is not None and now >= order.ship_by:
        reason, fault = NOT_SHIPPED, Fault.SELLER
    else:
        return None
    who = Channel.SYSTEM, None, RequesterRole.SYSTEM
    taken = pricing.take(order.lines)
    return Cancellation(cancellation_id, *who, reason, None, fault, now, taken, *_effect(order, taken))


def decide(order: Order | None, request: OrderCancelRequested, now: datetime) -> Cancellation | OrderCancelRejected:
    """The answer to a request, in each of the four ways. What was granted is granted again, as it was. What was
    rejected is decided anew: for the whole order it stays rejected, because no reason to reject that ever ends."""
    try:
        return granted(order, request.cancellation_id) or _grant(order, request, now)
    except Refusal as refused:
        return OrderCancelRejected(
            cancellation_id=request.cancellation_id,
            order_id=request.order_id,
            code=RejectionCode(refused.code),
            detail=refused.detail,
        )


def granted(order: Order | None, cancellation_id: UUID) -> Cancellation | None:
    """The cancellation of this order that was granted under this id."""
    made = order.cancellations if order else ()
    return next((one for one in made if one.cancellation_id == cancellation_id), None)


def _grant(order: Order | None, asked: OrderCancelRequested, now: datetime) -> Cancellation:
    if order is None or not is_entitled(order, asked):
        raise NotFound("There is no such order, or it belongs to another account.")
    if refused := refusal(order, asked.channel, now):
        raise refused
    if asked.respond_by is not None and _was_packed_in_time(order, asked.respond_by):
        raise WrongState("The seller packed the order in time.")
    if asked.lines is not None and order.status is OrderStatus.UNPAID:
        raise WrongState("An unpaid order can be cancelled as a whole only.")
    taken = pricing.take(order.lines, asked.lines)
    amount, ended = _effect(order, taken)
    if not ended and pricing.price_left(order.lines, taken) < order.voucher_minimum:
        raise BelowVoucherMinimum("Too little would be left for the voucher. Cancel fewer pieces, or the whole order.")
    who = asked.channel, asked.requested_by, asked.role
    why = asked.reason, asked.note, fault_of(asked)
    return Cancellation(asked.cancellation_id, *who, *why, now, taken, amount, ended)


def _was_packed_in_time(order: Order, respond_by: datetime) -> bool:
    """Whether the seller processed the order within the 24 hours of customer service (A), which may not have heard."""
    packed = [step.at for step in order.history if step.status is OrderStatus.PACKED]
    return any(respond_by - ANSWER_WITHIN <= at < respond_by for at in packed)


def _effect(order: Order, taken: tuple[CancelledPieces, ...]) -> tuple[int, bool]:
    """What comes back for these pieces, and whether none is left: the last ones bring all that is not refunded, with
    the shipping fee (A)."""
    if sum(one.quantity for one in taken) == sum(line.left for line in order.lines):
        return order.paid_amount - order.refunded_amount, True
    return sum(one.net for one in taken) if order.paid_amount else 0, False


def cancelled_event(order: Order, how: Cancellation) -> OrderCancelled | OrderItemsCancelled:
    """The event of a cancellation: the same each time that it is published, but for what is known of the refund by
    then."""
    refund = how.refund
    arrived = refund.destination if refund and refund.state == "issued" else None
    known = {"refund_id": refund and refund.refund_id, "refunded_to": arrived, "paid_amount": how.refund_amount}
    kind = OrderCancelled if how.ended else OrderItemsCancelled
    return kind.model_validate(vars(order) | vars(how) | known)
