"""The metrics of `orders`: cancellations, and their money."""

from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

from contracts.words import Channel
from runtime.observability.sampling import Rows
from runtime.observability.telemetry import LONG
from runtime.storage.database import Database

CANCELLATIONS = Counter("batalkan_cancellations", "Cancelled orders and parts", ["service", "channel", "money"])
REFUND_SECONDS = Histogram(
    "batalkan_refund_seconds", "From the cancellation of a paid order to its refund", ["service"], buckets=LONG
)
WITHOUT_MONEY = Gauge("batalkan_cancellations_without_money", "Late refunds: none after 5 seconds", ["service"])
WITHOUT_MONEY_AGE = Gauge(
    "batalkan_cancellations_without_money_oldest_age_seconds", "Age of the oldest of them", ["service"]
)

_SAMPLED = """
select count(*), coalesce(extract(epoch from clock_now() - min(at)), 0)::float8 from cancellations
where said_at is not null and at < clock_now() - interval '5 seconds'
"""


async def without_money(database: Database) -> Rows:
    """How many cancellations still lack their money, and the age of the oldest in seconds."""
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(_SAMPLED)]


def cancelled(channel: str, refund_amount: int) -> None:
    """Counts a cancellation of an order or a part; `money` says whether a refund is due."""
    CANCELLATIONS.labels("orders", channel, "due" if refund_amount else "none").inc()


def refunded(seconds: Sequence[float]) -> None:
    """Observes how long the money of cancellations took to arrive."""
    for one in seconds:
        REFUND_SECONDS.labels("orders").observe(one)


def prepare() -> None:
    """Shows the counters before the first cancellation, so that it is an increase."""
    for channel in Channel:
        for money in ("due", "none"):
            CANCELLATIONS.labels("orders", channel.value, money)
    REFUND_SECONDS.labels("orders")
