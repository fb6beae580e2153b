"""Who is told what about an order, and how often a webhook is tried. Pure: time and ids come in as arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts.chat import SellerReplied
from contracts.cs import CaseClosed, SellerContacted
from contracts.orders import (
    OrderCancelled,
    OrderDelivered,
    OrderItemsCancelled,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    OrderShipmentDue,
    OrderShipped,
)
from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Channel, Fault, PaymentMethod
from runtime.errors import Refusal
from runtime.messaging.envelope import Event

TITLE_LENGTH = 200
WEBHOOK_DISABLED = "WebhookDisabled"
"""The only kind of notification that is no event."""
MAX_WEBHOOKS = 10
"""Of one seller."""
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 3600))
"""After the first, the second, … failure in a row; after each further one the last of them."""
GIVEN_UP_AFTER = timedelta(days=1)
"""From the first attempt of a delivery; then its webhook is disabled."""
IN_HAND = timedelta(seconds=30)
"""After this a call counts as lost: more than a receiver has, so only when a process dies."""
GONE = "gone"
"""The receiver wants no more messages: status 410 (Standard Webhooks)."""

Facts = dict[str, Any]
"""What a notification says, in JSON: for a client that has its own words."""


class TooManyWebhooks(Refusal):
    """A seller has as many webhooks as one may have."""

    code, title = "too_many_webhooks", "Too many webhooks"


class Side(StrEnum):
    """The side of an order on which an account is."""

    BUYER = "buyer"
    SELLER = "seller"


class WebhookKind(StrEnum):
    """The notifications that a webhook may get: those of a seller that are events."""

    ORDER_PLACED = OrderPlaced.wire_name
    ORDER_PAID = OrderPaid.wire_name
    ORDER_SHIPMENT_DUE = OrderShipmentDue.wire_name
    ORDER_CANCELLED = OrderCancelled.wire_name
    ORDER_ITEMS_CANCELLED = OrderItemsCancelled.wire_name
    SELLER_CONTACTED = SellerContacted.wire_name


WEBHOOK_KINDS = frozenset(WebhookKind)


@dataclass(frozen=True)
class Order:
    """An order, as far as this service knows it; while its title is missing, so are its people."""

    order_id: UUID
    buyer_id: UUID | None = None
    seller_id: UUID | None = None
    title: str | None = None

    def account(self, side: Side) -> UUID | None:
        """The account on that side."""
        return self.buyer_id if side is Side.BUYER else self.seller_id


@dataclass(frozen=True)
class Notice:
    """What one side is told; once for each `about` (a cancellation, a refund, a case, an order), also when the event is
    published again."""

    side: Side
    kind: str
    about: UUID
    order_id: UUID | None
    data: Facts
    case_id: UUID | None = None


def headline(lines: Sequence[OrderLine]) -> str:
    """An order's title: its first product, and how many more there are."""
    more = f" +{len(lines) - 1}" if len(lines) > 1 else ""
    return (lines[0].title[: TITLE_LENGTH - len(more)] if lines else "") + more


def notices(event: Event) -> list[Notice]:
    """What an event has people told. A seller is told of an order once there is something to do (paid, or cash on
    delivery), so not of one that is cancelled because it was not paid in time."""
    match event:
        case OrderPlaced():
            cash = event.payment_method is PaymentMethod.COD
            facts = {"amount": event.total, "payment_method": str(event.payment_method)}
            return _told(event, event.order_id, facts, Side.SELLER) if cash else []
        case OrderPaid():
            return _told(event, event.order_id, {"amount": event.amount}, Side.SELLER)
        case OrderShipped() | OrderDelivered():
            return _told(event, event.order_id, {}, Side.BUYER)
        case OrderShipmentDue():
            return _told(event, event.order_id, {"ship_by": event.ship_by.isoformat()}, Side.SELLER)
        case OrderCancelled():
            facts = {**_why(event), "amount": event.paid_amount}
            not_paid = event.channel is Channel.SYSTEM and event.fault is Fault.NONE
            return _told(event, event.cancellation_id, facts, Side.BUYER, *([] if not_paid else [Side.SELLER]))
        case OrderItemsCancelled():
            lines = [line.model_dump(mode="json") for line in event.lines]
            facts = {**_why(event), "amount": event.refund_amount, "lines": lines}
            return _told(event, event.cancellation_id, facts, Side.BUYER, Side.SELLER)
        case RefundIssued():
            facts = {"refund_id": str(event.refund_id), "cancellation_id": str(event.cancellation_id)}
            facts |= {"amount": event.amount, "destination": str(event.destination)}
            return _told(event, event.refund_id, facts, Side.BUYER)
        case RefundDelayed():
            facts = {"refund_id": str(event.refund_id), "destination": str(event.destination)}
            return _told(event, event.refund_id, facts, Side.BUYER)
        case SellerContacted():
            until = {"respond_by": event.respond_by.isoformat()}
            asked = _told(event, event.case_id, {**until, "question": event.question}, Side.SELLER)
            return [*asked, *_told(event, event.case_id, until, Side.BUYER)]
        case SellerReplied():
            return _told(event, event.case_id, {}, Side.BUYER)
        case CaseClosed(order_id=UUID()):
            return _told(event, event.case_id, {"outcome": str(event.outcome)}, Side.BUYER)
    return []


def _why(event: OrderCancelled | OrderItemsCancelled) -> Facts:
    return {
        "cancellation_id": str(event.cancellation_id),
        "channel": str(event.channel),
        "fault": str(event.fault),
    }


def _told(event: Event, about: UUID, facts: Facts, *sides: Side) -> list[Notice]:
    order_id, case_id = getattr(event, "order_id", None), getattr(event, "case_id", None)
    return [Notice(side, event.wire_name, about, order_id, facts, case_id) for side in sides]


class State(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True)
class Delivery:
    """One message to one webhook. `attempts` counts since it was made or last asked for again; `message_id` is the same
    for all webhooks, and for ever: receivers recognise repeats by it."""

    delivery_id: UUID
    webhook_id: UUID
    message_id: UUID
    kind: str
    state: State
    attempts: int
    first_tried_at: datetime | None
    next_attempt_at: datetime | None
    status_code: int | None
    error: str | None
    at: datetime

    @property
    def message(self) -> str:
        """Its name in the header `webhook-id`."""
        return f"msg_{self.message_id.hex}"


@dataclass(frozen=True)
class Answer:
    """What came of a call: the status if there is one, and a word for what went wrong, None for a success."""

    status_code: int | None = None
    error: str | None = None


def answer_of(status_code: int) -> Answer:
    """What a status means: only 2xx is a success (Standard Webhooks), and no redirect is followed."""
    if 200 <= status_code < 300:
        return Answer(status_code)
    return Answer(status_code, "redirect" if 300 <= status_code < 400 else GONE if status_code == 410 else "refused")


def check_webhooks(count: int) -> None:
    """Raises `TooManyWebhooks` if a seller who has `count` may have no more (M)."""
    if count >= MAX_WEBHOOKS:
        raise TooManyWebhooks(f"A seller may have {MAX_WEBHOOKS} webhooks. Delete one first.")


def pause(failures: int) -> timedelta:
    """How long to wait after so many failures in a row."""
    return PAUSES[min(failures, len(PAUSES)) - 1]


def tried(delivery: Delivery, now: datetime) -> Delivery:
    """The delivery from the moment on at which a call may be on its way."""
    return replace(
        delivery,
        attempts=delivery.attempts + 1,
        first_tried_at=delivery.first_tried_at or now,
        next_attempt_at=now + IN_HAND,
        status_code=None,
        error=None,
    )


def answered(delivery: Delivery, answer: Answer, now: datetime, *, disabled: bool) -> Delivery:
    """The delivery after a call. A failure is final after a day, if the receiver is gone, and for a disabled webhook,
    whose deliveries are only tried when they are asked for again."""
    seen = replace(delivery, status_code=answer.status_code, error=answer.error, next_attempt_at=None)
    if answer.error is None:
        return replace(seen, state=State.DELIVERED)
    over = delivery.first_tried_at is not None and now >= delivery.first_tried_at + GIVEN_UP_AFTER
    if over or disabled or answer.error == GONE:
        return replace(seen, state=State.FAILED)
    return replace(seen, next_attempt_at=now + pause(delivery.attempts))


def again(delivery: Delivery, now: datetime) -> Delivery:
    """The delivery, asked for again: with all its attempts, unless it is still being tried."""
    if delivery.state is State.PENDING:
        return replace(delivery, next_attempt_at=now)
    return replace(delivery, state=State.PENDING, attempts=0, first_tried_at=None, next_attempt_at=now)
