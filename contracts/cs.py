"""The events that `cs` (customer service) publishes."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from contracts.words import Open
from runtime.messaging.envelope import Event

ANSWER_WITHIN = timedelta(hours=24)
"""A: the time that the seller has to answer customer service, or to process the order."""


class SellerContacted(Event, subject="order_id", published_by=("cs",), consumed_by=("chat", "notifications")):
    """Customer service has written to the seller, who has until `respond_by` to answer, pack or ship (A: 24 hours)."""

    case_id: UUID
    order_id: UUID
    seller_id: UUID
    question: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
    respond_by: datetime


class Outcome(StrEnum):
    """How a case ended."""

    ORDER_CANCELLED = "order_cancelled"
    SELLER_ANSWERED = "seller_answered"
    ORDER_PROCESSED = "order_processed"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"


class CaseClosed(Event, subject="case_id", published_by=("cs",), consumed_by=("chat", "notifications")):
    """The case is over; the seller owes no answer any more."""

    case_id: UUID
    order_id: UUID | None
    outcome: Open[Outcome]
