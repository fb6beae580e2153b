"""Orders as the HTTP interface shows them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from contracts.orders import OrderLine
from contracts.words import Channel, Fault, OrderStatus, PaymentMethod
from services.orders.domain import WINDOW, Order, Refund, Score, Step, refusal


class ProductView(BaseModel):
    """A product; `price` in whole rupiah."""

    product_id: UUID
    seller_id: UUID
    title: str
    price: int
    stock: int
    listed: bool = True


class CancellationView(BaseModel):
    """Whether the buyer may cancel (`allowed`; if not, `code` says why) and until when; once cancelled, how."""

    allowed: bool
    code: str | None
    until: datetime
    cancellation_id: UUID | None = None
    channel: Channel | str | None = None
    reason: str | None = None
    note: str | None = None
    fault: Fault | str | None = None
    at: datetime | None = None


class OrderView(BaseModel):
    """An order. Amounts are whole rupiah."""

    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    status: OrderStatus
    lines: tuple[OrderLine, ...]
    total: int
    currency: str = "IDR"
    payment_method: PaymentMethod
    paid_amount: int
    placed_at: datetime
    pay_by: datetime | None
    """Until when an unpaid order can be paid; null for all others."""
    version: int
    history: tuple[Step, ...]
    cancellation: CancellationView
    refund: Refund | None


class ClockView(BaseModel):
    """The time by which orders are judged."""

    now: datetime


class ConsequenceView(BaseModel):
    """The score after one more cancellation by the seller."""

    cancellation_rate: float
    rating: float


class ScoreView(BaseModel):
    """A seller's score and the numbers behind it; `cancellation_rate` is the seller's part, `rating` 1.0 to 5.0.
    `after_cancelling` is what they would be if the seller cancelled one more order."""

    seller_id: UUID
    orders: int
    cancellations: dict[Fault, int]
    cancellation_rate: float
    rating: float
    after_cancelling: ConsequenceView


def show(order: Order, now: datetime) -> OrderView:
    """The view of an order."""
    refused = refusal(order, Channel.APP, now)
    cancellation = CancellationView(
        allowed=refused is None,
        code=refused.code if refused else None,
        until=order.placed_at + WINDOW,
        **(vars(order.cancellation) if order.cancellation else {}),
    )
    return OrderView(**vars(order) | {"cancellation": cancellation})


def show_score(seller_id: UUID, score: Score) -> ScoreView:
    """The view of a score."""
    after = score.after_cancelling()
    return ScoreView(
        seller_id=seller_id,
        orders=score.orders,
        cancellations={Fault.SELLER: score.by_seller, Fault.BUYER: score.by_buyer, Fault.PLATFORM: score.by_platform},
        cancellation_rate=score.cancellation_rate,
        rating=score.rating,
        after_cancelling=ConsequenceView.model_validate(after, from_attributes=True),
    )
