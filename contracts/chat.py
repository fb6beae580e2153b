"""The events that `chat` publishes."""

from uuid import UUID

from runtime.messaging.envelope import Event


class SellerReplied(Event, subject="order_id", published_by=("chat",), consumed_by=("cs", "notifications")):
    """The seller has answered customer service about the order, which is no longer cancelled for lack of an answer."""

    case_id: UUID
    order_id: UUID
    seller_id: UUID
