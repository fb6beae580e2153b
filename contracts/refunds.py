"""The events that `refunds` publishes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.words import Destination, Open, Rupiah
from runtime.messaging.envelope import Event


class RefundIssued(
    Event, subject="order_id", published_by=("refunds",), consumed_by=("orders", "chat", "cs", "notifications")
):
    """The money has arrived, all of it, at `destination`."""

    refund_id: UUID
    cancellation_id: UUID
    order_id: UUID
    buyer_id: UUID
    amount: Rupiah
    destination: Open[Destination]


class RefundDelayed(
    Event, subject="order_id", published_by=("refunds",), consumed_by=("orders", "chat", "cs", "notifications")
):
    """The money has not arrived after `attempts` attempts; the next one follows at `next_attempt_at` or later."""

    refund_id: UUID
    order_id: UUID
    buyer_id: UUID
    destination: Open[Destination]
    attempts: Annotated[int, Field(ge=0, strict=True)]
    next_attempt_at: datetime
    cancellation_id: UUID | None = None
    """The cancellation that it refunds. An order may have several."""
    amount: Rupiah | None = None


class WalletLinked(Event, subject="buyer_id", published_by=("refunds",)):
    """The buyer's refunds go to DANA from now on. Of the phone number, only the last digits are shown."""

    buyer_id: UUID
    phone: str


class WalletUnlinked(Event, subject="buyer_id", published_by=("refunds",)):
    """The buyer's refunds go to Lazada Credit from now on."""

    buyer_id: UUID
    phone: str
