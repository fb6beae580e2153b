"""What `chat` tells the others."""

from uuid import UUID

from runtime.messaging.envelope import Event


class SellerReplied(
    Event, name="SellerReplied", version=1, subject="order_id", published_by=("chat",), consumed_by=("cs",)
):
    """The seller has answered what customer service asked about an order; nothing is cancelled for silence now."""

    case_id: UUID
    order_id: UUID
    seller_id: UUID
