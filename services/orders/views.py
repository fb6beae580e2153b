"""Orders as the HTTP interface shows them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from contracts.orders import OrderLine
from contracts.words import Channel, Destination, Fault, OrderStatus, PaymentMethod
from services.orders.domain import WINDOW, Order, Score, refusal


class ProductView(BaseModel):
    """A product; `price` in whole rupiah."""

    product_id: UUID
    seller_id: UUID
    title: str
    price: int
    stock: int
    listed: bool = True


class StepView(BaseModel):
    """One entry of the history."""

    status: OrderStatus
    at: datetime


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


class RefundView(BaseModel):
    """What is known of the refund; `state` is `sending` or `issued`."""

    refund_id: UUID
    state: str
    amount: int
    destination: Destination | str


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
    history: list[StepView]
    cancellation: CancellationView
    refund: RefundView | None


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
    gone = order.cancellation
    return OrderView(
        order_id=order.order_id,
        buyer_id=order.buyer_id,
        seller_id=order.seller_id,
        status=order.status,
        lines=order.lines,
        total=order.total,
        payment_method=order.payment_method,
        paid_amount=order.paid_amount,
        placed_at=order.placed_at,
        pay_by=order.pay_by,
        version=order.version,
        history=[StepView(status=step.status, at=step.at) for step in order.history],
        cancellation=CancellationView(
            allowed=refused is None,
            code=refused.code if refused else None,
            until=order.placed_at + WINDOW,
            cancellation_id=gone.cancellation_id if gone else None,
            channel=gone.channel if gone else None,
            reason=gone.reason if gone else None,
            note=gone.note if gone else None,
            fault=gone.fault if gone else None,
            at=gone.at if gone else None,
        ),
        refund=RefundView(**vars(order.refund)) if order.refund else None,
    )


def show_score(seller_id: UUID, score: Score) -> ScoreView:
    """The view of a score."""
    after = score.after_cancelling()
    return ScoreView(
        seller_id=seller_id,
        orders=score.orders,
        cancellations={
            Fault.SELLER: score.by_seller,
            Fault.BUYER: score.by_buyer,
            Fault.PLATFORM: score.by_platform,
        },
        cancellation_rate=score.cancellation_rate,
        rating=score.rating,
        after_cancelling=ConsequenceView(cancellation_rate=after.cancellation_rate, rating=after.rating),
    )
