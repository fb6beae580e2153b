"""The events that `orders` publishes, and the request that it answers."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.words import Channel, Destination, Fault, Note, Open, PaymentMethod, Rupiah
from runtime.messaging.envelope import Event


class OrderLine(BaseModel):
    """One product of an order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    product_id: UUID
    title: str
    quantity: Annotated[int, Field(ge=1, strict=True)]
    unit_price: Rupiah


class Pieces(BaseModel):
    """Some pieces of one product of an order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    product_id: UUID
    quantity: Annotated[int, Field(ge=1, strict=True)]


class CancelledPieces(Pieces):
    """Cancelled pieces of one product; `net` is what was to be paid for them: their price less their part of the
    order's discount."""

    net: Rupiah


class OrderPlaced(Event, subject="order_id", published_by=("orders",), consumed_by=("chat", "cs", "notifications")):
    """A buyer has placed an order; its stock is reserved."""

    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    lines: tuple[OrderLine, ...]
    total: Rupiah
    payment_method: Open[PaymentMethod]
    placed_at: datetime


class OrderPaid(Event, subject="order_id", published_by=("orders",), consumed_by=("chat", "cs", "notifications")):
    """The order is paid for; the seller can start on it."""

    order_id: UUID
    buyer_id: UUID
    amount: Rupiah


class OrderPacked(Event, subject="order_id", published_by=("orders",), consumed_by=("chat", "cs")):
    """The seller has packed the order. It can still be cancelled."""

    order_id: UUID
    seller_id: UUID
    at: datetime


class OrderShipped(Event, subject="order_id", published_by=("orders",), consumed_by=("chat", "cs", "notifications")):
    """The order is on its way. It cannot be cancelled any more (A)."""

    order_id: UUID
    seller_id: UUID
    at: datetime


class OrderDelivered(Event, subject="order_id", published_by=("orders",), consumed_by=("chat", "cs", "notifications")):
    """The order has arrived."""

    order_id: UUID
    seller_id: UUID
    at: datetime


class RequesterRole(StrEnum):
    """The role in which a cancellation is requested; `system`: a deadline of customer service or of orders."""

    BUYER = "buyer"
    SELLER = "seller"
    AGENT = "agent"
    SYSTEM = "system"


class OrderCancelRequested(Event, subject="order_id", published_by=("orders", "chat", "cs"), consumed_by=("orders",)):
    """A request to cancel the order. All four ways lead to this event; `orders` decides. It receives those of `chat`
    and `cs`; its own, of the app and the website, are decided when they are published."""

    cancellation_id: UUID
    order_id: UUID
    channel: Open[Channel]
    requested_by: UUID | None
    """The account that asks; null when a deadline of customer service does."""
    role: Open[RequesterRole]
    reason: Note | None = None
    note: Note | None = None
    lines: tuple[Pieces, ...] | None = None
    """The pieces to cancel; all that are left if it is missing."""
    respond_by: datetime | None = None
    """From customer service: the end of the 24 hours in which the seller could answer or process the order."""


class OrderCancelled(
    Event, subject="order_id", published_by=("orders",), consumed_by=("refunds", "chat", "cs", "notifications")
):
    """The order is cancelled, for good. All that was paid and is not yet refunded has to come back (A)."""

    cancellation_id: UUID
    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    channel: Open[Channel]
    paid_amount: Rupiah
    """What has to come back: what was paid, less what earlier cancellations of pieces refund."""
    fault: Open[Fault]
    refund_id: UUID | None = None
    """The refund, when the event is published again and `orders` knows it."""
    refunded_to: Open[Destination] | None = None
    """Where its money has arrived, as far as `orders` knows."""


class OrderItemsCancelled(
    Event, subject="order_id", published_by=("orders",), consumed_by=("refunds", "chat", "cs", "notifications")
):
    """Some pieces of the order are cancelled, and at least one piece is left. `refund_amount` has to come back: the net
    of the pieces if the order is paid, else 0."""

    cancellation_id: UUID
    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    channel: Open[Channel]
    lines: tuple[CancelledPieces, ...]
    refund_amount: Rupiah
    fault: Open[Fault]
    refund_id: UUID | None = None
    """As in `OrderCancelled`."""
    refunded_to: Open[Destination] | None = None
    """As in `OrderCancelled`."""


class OrderShipmentDue(Event, subject="order_id", published_by=("orders",), consumed_by=("notifications",)):
    """A day is left to ship the order; at `ship_by` it is cancelled at the seller's fault (M)."""

    order_id: UUID
    seller_id: UUID
    ship_by: datetime


class RejectionCode(StrEnum):
    """Why a cancellation is not possible."""

    ALREADY_SHIPPED = "already_shipped"
    WINDOW_CLOSED = "window_closed"
    ALREADY_CANCELLED = "already_cancelled"
    NOT_FOUND = "not_found"
    NOT_ENOUGH_LEFT = "not_enough_left"
    WRONG_STATE = "wrong_state"
    BELOW_VOUCHER_MINIMUM = "below_voucher_minimum"


class OrderCancelRejected(Event, subject="order_id", published_by=("orders",), consumed_by=("chat", "cs")):
    """The request is rejected; nothing has changed."""

    cancellation_id: UUID
    order_id: UUID
    code: Open[RejectionCode]
    detail: str
