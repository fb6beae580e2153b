"""Orders, requests and the table of who may cancel what, written from the flow and not from the code."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from contracts.orders import OrderCancelRejected, OrderCancelRequested, OrderLine, RequesterRole
from contracts.words import Channel, OrderStatus, PaymentMethod
from services.orders.cancelling import decide
from services.orders.domain import Cancellation, Order, Terms, moved, new_order

PLACED = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TERMS = Terms(HOUR, 72 * HOUR)
BUYER, SELLER, AGENT, STRANGER = (UUID(int=number) for number in range(1, 5))

GRAPH = {
    "unpaid": {"processing", "cancelled"},
    "processing": {"packed", "cancelled"},
    "packed": {"shipped", "cancelled"},
    "shipped": {"delivered"},
    "delivered": set(),
    "cancelled": set(),
}
"""Which status may follow which."""

COLUMNS = ("unpaid", "processing", "packed", "shipped", "delivered", "cancelled")
TABLE = """
app  buyer  young  yes   yes   yes   shipped shipped cancelled
app  buyer  old    late  late  late  shipped shipped cancelled
web  buyer  young  yes   yes   yes   shipped shipped cancelled
web  buyer  old    late  late  late  shipped shipped cancelled
chat seller young  yes   yes   yes   shipped shipped cancelled
chat seller old    yes   yes   yes   shipped shipped cancelled
cs   agent  young  yes   yes   yes   shipped shipped cancelled
cs   agent  old    yes   yes   yes   shipped shipped cancelled
cs   system young  yes   yes   yes   shipped shipped cancelled
cs   system old    yes   yes   yes   shipped shipped cancelled
"""
"""The answer by channel, role and age, for each status. A combination that is not listed is refused."""

WORDS = {"yes": "granted", "late": "window_closed", "shipped": "already_shipped", "cancelled": "already_cancelled"}
ACTORS = {"buyer": BUYER, "seller": SELLER, "agent": AGENT, "system": None}


def expected(channel: str, role: str, age: str, status: str) -> str:
    """What the flow answers: `granted`, or the code of the refusal."""
    for line in TABLE.strip().splitlines():
        *key, answers = line.split(maxsplit=3)
        if key == [channel, role, age]:
            return WORDS[answers.split()[COLUMNS.index(status)]]
    return "not_found"


def an_order(status: OrderStatus = OrderStatus.PROCESSING, paid: int = 100) -> Order:
    """An order of BUYER with SELLER, placed at PLACED."""
    line = OrderLine(product_id=uuid4(), title="Kopi", quantity=2, unit_price=50)
    order = new_order(uuid4(), BUYER, SELLER, (line,), PaymentMethod.DANA, PLACED, TERMS)
    if status is OrderStatus.UNPAID:
        return order
    return replace(order, status=status, paid_amount=paid, pay_by=None)


def a_request(
    order: Order, channel: str, role: str, who: UUID | None, cancellation_id: UUID | None = None
) -> OrderCancelRequested:
    """An account asks for the cancellation."""
    return OrderCancelRequested(
        cancellation_id=cancellation_id or uuid4(),
        order_id=order.order_id,
        channel=Channel(channel),
        requested_by=who,
        role=RequesterRole(role),
    )


def answer_to(order: Order | None, request: OrderCancelRequested, now: datetime) -> str:
    """`granted` or the code of the refusal."""
    answer = decide(order, request, now)
    return str(answer.code) if isinstance(answer, OrderCancelRejected) else "granted"


def cancelled(order: Order, how: Cancellation) -> Order:
    """The order once the cancellation is written down."""
    return replace(moved(order, OrderStatus.CANCELLED, how.at), cancellations=(*order.cancellations, how))
