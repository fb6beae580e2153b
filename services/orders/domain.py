"""Orders, and the rules of placing, paying and moving them. Pure: time and ids come in as arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from contracts.orders import CancelledPieces, OrderLine, OrderShipmentDue, RequesterRole
from contracts.words import Channel, Destination, Fault, OrderStatus, PaymentMethod
from runtime.errors import Refusal, WrongState
from services.orders import pricing
from services.orders.pricing import Line, Voucher

NOT_PAID, NOT_SHIPPED = "not_paid", "not_shipped"
"""The reasons of a cancellation by `system`: the order was not paid, or not shipped, in time (M)."""
REMINDED = timedelta(days=1)
"""How long before it has to be shipped the seller is reminded of an order (M)."""
MAX_UNPAID = 10
"""Orders of one buyer that wait for their payment at the most: they hold stock (M)."""
MAX_PIECES = 100
"""Pieces of one product in an order (M)."""
MAX_PRODUCTS = 1000
"""Products of one seller (M)."""
MAX_VOUCHERS = 1000
"""Vouchers of one seller (M)."""


FOLLOWS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.UNPAID: frozenset({OrderStatus.PROCESSING, OrderStatus.CANCELLED}),
    OrderStatus.PROCESSING: frozenset({OrderStatus.PACKED, OrderStatus.CANCELLED}),
    OrderStatus.PACKED: frozenset({OrderStatus.SHIPPED, OrderStatus.CANCELLED}),
    OrderStatus.SHIPPED: frozenset({OrderStatus.DELIVERED}),
    OrderStatus.DELIVERED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
}
"""The statuses that may follow each status. A: once it has shipped, an order cannot be cancelled."""


class NotPaid(Refusal):
    """M: the time to pay is over."""

    code, title = NOT_PAID, "The order was not paid in time"


class TooManyUnpaid(Refusal):
    """M: too many of the buyer's orders hold stock and are not paid."""

    code, title = "too_many_unpaid", "Too many unpaid orders"


class TooManyProducts(Refusal):
    """M: the seller has the maximum of products."""

    code, title = "too_many_products", "Too many products"


class TooManyVouchers(Refusal):
    """M: the seller has the maximum of vouchers."""

    code, title = "too_many_vouchers", "Too many vouchers"


@dataclass(frozen=True)
class Terms:
    """What holds for new orders: the time to pay and to ship, and the fee in whole rupiah."""

    pay_within: timedelta
    ship_within: timedelta
    shipping_fee: int = 0


@dataclass(frozen=True)
class Refund:
    """The latest state of a cancellation's refund, as `refunds` published it: `sending` or `issued`."""

    refund_id: UUID
    state: str
    amount: int
    destination: Destination | str


@dataclass(frozen=True)
class Cancellation:
    """How an order was cancelled, or a part of it. `refund_amount` is in whole rupiah."""

    cancellation_id: UUID
    channel: Channel | str
    requested_by: UUID | None
    role: RequesterRole | str
    reason: str | None
    note: str | None
    fault: Fault | str
    at: datetime
    lines: tuple[CancelledPieces, ...]
    refund_amount: int
    ended: bool
    """Whether nothing of the order is left."""
    refund: Refund | None = None


@dataclass(frozen=True)
class Step:
    """One entry in an order's history."""

    status: OrderStatus
    at: datetime


@dataclass(frozen=True)
class Order:
    """One buyer, one seller, some products. Amounts are whole rupiah; `version` counts the statuses, from 1."""

    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    status: OrderStatus
    lines: tuple[Line, ...]
    total: int
    payment_method: PaymentMethod | str
    paid_amount: int
    placed_at: datetime
    version: int
    shipping_fee: int = 0
    discount: int = 0
    voucher: str | None = None
    """The code of its voucher."""
    voucher_minimum: int = 0
    pay_by: datetime | None = None
    """Until when it can be paid; None when it is paid, cancelled, or cash on delivery."""
    ship_by: datetime | None = None
    """Until when it has to be shipped; None when it is not paid yet, shipped or cancelled."""
    history: tuple[Step, ...] = ()
    """The oldest step first; one for each version."""
    cancellations: tuple[Cancellation, ...] = ()
    """The oldest first; the last one may have ended the order."""

    @property
    def cancellation(self) -> Cancellation | None:
        """The cancellation that ended the order."""
        return self.cancellations[-1] if self.cancellations and self.cancellations[-1].ended else None

    @property
    def refunded_amount(self) -> int:
        """What its cancellations refund, also what has not arrived yet."""
        return sum(one.refund_amount for one in self.cancellations)


def new_order(
    order_id: UUID,
    buyer_id: UUID,
    seller_id: UUID,
    lines: tuple[OrderLine, ...],
    method: PaymentMethod,
    at: datetime,
    terms: Terms,
    voucher: Voucher | None = None,
) -> Order:
    """An order as it is placed: it waits for its payment, or with cash on delivery is in process at once."""
    cash, price = method is PaymentMethod.COD, pricing.gross(lines)
    status = OrderStatus.PROCESSING if cash else OrderStatus.UNPAID
    discount = voucher.discount(price) if voucher else 0
    return Order(
        order_id,
        buyer_id,
        seller_id,
        status,
        pricing.spread(lines, discount),
        price + terms.shipping_fee - discount,
        method,
        0,
        at,
        1,
        terms.shipping_fee,
        discount,
        voucher.code if voucher else None,
        voucher.minimum if voucher else 0,
        None if cash else at + terms.pay_within,
        at + terms.ship_within if cash else None,
        (Step(status, at),),
    )


def check_unpaid(unpaid: int) -> None:
    """Raises `TooManyUnpaid` if a buyer with so many unpaid orders may not place another one (M)."""
    if unpaid >= MAX_UNPAID:
        raise TooManyUnpaid(f"At most {MAX_UNPAID} orders may wait for their payment. Pay or cancel one of them.")


def check_products(offered: int) -> None:
    """Raises `TooManyProducts` if a seller with so many products may not offer another one (M)."""
    if offered >= MAX_PRODUCTS:
        raise TooManyProducts(f"A seller offers at most {MAX_PRODUCTS} products.")


def check_vouchers(made: int) -> None:
    """Raises `TooManyVouchers` if a seller with so many vouchers may not make another one (M)."""
    if made >= MAX_VOUCHERS:
        raise TooManyVouchers(f"A seller has at most {MAX_VOUCHERS} vouchers.")


def is_paid(order: Order) -> bool:
    """Whether it is paid, and not cancelled. What a voucher has made free is paid as well."""
    unpaid = order.payment_method is PaymentMethod.COD or order.status in (OrderStatus.UNPAID, OrderStatus.CANCELLED)
    return not unpaid


def check_payment(order: Order, now: datetime) -> None:
    """Raises `NotPaid` when the time to pay is over (M), also if the order is not cancelled yet; `WrongState` when
    there is nothing to pay."""
    if order.payment_method is PaymentMethod.COD:
        raise WrongState("Cash on delivery is paid to the courier.")
    ended = order.cancellation
    expired = ended is not None and ended.channel is Channel.SYSTEM and ended.reason == NOT_PAID
    if expired or (order.pay_by is not None and now >= order.pay_by):
        raise NotPaid("The time to pay is over, and the order is cancelled. Place a new order.")
    check_move(order, OrderStatus.PROCESSING)


def check_move(order: Order, to: OrderStatus) -> None:
    """Raises `WrongState` if `to` may not follow the order's status."""
    if to not in FOLLOWS[order.status]:
        raise WrongState(f"The order is {order.status}, so it cannot become {to}.")


def until_shipment(ship_by: datetime, now: datetime) -> timedelta:
    """The time until the seller is reminded or, from then on, until the order has to be shipped (M)."""
    left = ship_by - now
    return left - REMINDED if left > REMINDED else left


def shipment_due(order: Order, now: datetime) -> OrderShipmentDue | None:
    """The reminder to ship an order; None if there is nothing to ship, or no time left."""
    if not is_to_ship(order) or order.ship_by is None or now >= order.ship_by:
        return None
    return OrderShipmentDue(order_id=order.order_id, seller_id=order.seller_id, ship_by=order.ship_by)


def moved(order: Order, to: OrderStatus, at: datetime) -> Order:
    """The order in its next status, in which it waits for nothing yet."""
    step = Step(to, at)
    return replace(
        order, status=to, version=order.version + 1, pay_by=None, ship_by=None, history=(*order.history, step)
    )


def is_to_ship(order: Order) -> bool:
    """Whether its seller has to ship it."""
    return order.status in (OrderStatus.PROCESSING, OrderStatus.PACKED)
