"""Orders as the HTTP interface shows them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from contracts.orders import CancelledPieces
from contracts.words import Channel, Destination, Fault, OrderStatus, PaymentMethod
from services.orders.cancelling import WINDOW, refusal
from services.orders.domain import Order, Refund, Step
from services.orders.pricing import Line
from services.orders.score import Score
from services.orders.vouchers import Offered


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


class CancelledView(BaseModel):
    """One cancellation of an order: the pieces, and what comes back for them."""

    cancellation_id: UUID
    channel: Channel | str
    lines: tuple[CancelledPieces, ...]
    refund_amount: int
    reason: str | None
    note: str | None
    fault: Fault | str
    at: datetime


class RefundView(BaseModel):
    """The refund of one cancellation."""

    refund_id: UUID
    cancellation_id: UUID
    state: str
    amount: int
    destination: Destination | str


class OrderView(BaseModel):
    """An order. Amounts are whole rupiah: `total` is the lines and the shipping fee, less the discount."""

    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    status: OrderStatus
    lines: tuple[Line, ...]
    shipping_fee: int
    discount: int
    voucher: str | None
    """The code of its voucher."""
    total: int
    currency: str = "IDR"
    payment_method: PaymentMethod | str
    paid_amount: int
    refunded_amount: int
    """What its cancellations refund, also what has not arrived yet."""
    placed_at: datetime
    pay_by: datetime | None
    """Until when an unpaid order can be paid; null for all others."""
    ship_by: datetime | None
    """Until when it has to be shipped; null before it is paid, and once it is shipped or cancelled."""
    version: int
    history: tuple[Step, ...]
    cancellation: CancellationView
    """Whether it can be cancelled, and the cancellation that ended it."""
    refund: Refund | None
    """Its refund."""
    cancellations: list[CancelledView]
    """All of them, the oldest first."""
    refunds: list[RefundView]


class ClockView(BaseModel):
    """The time by which orders are judged."""

    now: datetime


class VoucherView(BaseModel):
    """A seller's voucher. Amounts are whole rupiah; `used` counts the orders of which something is left."""

    voucher_id: UUID
    code: str
    amount: int | None
    percent: int | None
    cap: int | None
    minimum: int
    uses: int
    used: int


class ConsequenceView(BaseModel):
    """The score after one more cancellation by the seller."""

    cancellation_rate: float
    rating: float


class ScoreView(BaseModel):
    """A seller's score and the numbers behind it. `cancellations` counts orders with a piece cancelled at that fault;
    `cancellation_rate` is the part of `pieces` that was cancelled at the seller's, `rating` 1.0 to 5.0.
    `after_cancelling` is what they would be if the seller cancelled one more order, of
    average size unless `pieces` was asked for."""

    seller_id: UUID
    orders: int
    cancellations: dict[Fault, int]
    pieces: int
    pieces_by_seller: int
    cancellation_rate: float
    rating: float
    after_cancelling: ConsequenceView


def show(order: Order, now: datetime) -> OrderView:
    """The view of an order."""
    refused, ended = refusal(order, Channel.APP, now), order.cancellation
    cancellation = CancellationView(
        allowed=refused is None,
        code=refused.code if refused else None,
        until=order.placed_at + WINDOW,
        **(vars(ended) if ended else {}),
    )
    shown = {
        "lines": [line.model_copy(update={"cancelled": line.quantity}) for line in order.lines]
        if ended
        else order.lines,
        "ship_by": None if ended else order.ship_by,
        "refunded_amount": order.refunded_amount,
        "cancellation": cancellation,
        "refund": ended.refund if ended else None,
        "cancellations": [CancelledView(**vars(one)) for one in order.cancellations],
        "refunds": [
            RefundView(cancellation_id=one.cancellation_id, **vars(one.refund))
            for one in order.cancellations
            if one.refund is not None
        ],
    }
    return OrderView(**vars(order) | shown)


def show_voucher(offered: Offered) -> VoucherView:
    """The view of a voucher."""
    return VoucherView(**vars(offered) | vars(offered.voucher))


def show_score(seller_id: UUID, score: Score, pieces: int | None = None) -> ScoreView:
    """The view of a score, and what it would be after cancelling so many pieces."""
    after = score.after_cancelling(pieces)
    return ScoreView(
        seller_id=seller_id,
        orders=score.orders,
        cancellations={Fault.SELLER: score.by_seller, Fault.BUYER: score.by_buyer, Fault.PLATFORM: score.by_platform},
        pieces=score.pieces,
        pieces_by_seller=score.pieces_by_seller,
        cancellation_rate=score.cancellation_rate,
        rating=score.rating,
        after_cancelling=ConsequenceView.model_validate(after, from_attributes=True),
    )
