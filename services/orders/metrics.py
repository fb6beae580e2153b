"""The metrics of `orders`: cancellations, and their money."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram

from contracts.words import Channel
from runtime.observability.sampling import Rows
from runtime.observability.telemetry import LONG
from runtime.storage.database import Database

CANCELLATIONS = Counter("batalkan_cancellations", "Cancelled orders", ["service", "channel", "money"])
REFUND_SECONDS = Histogram(
    "batalkan_refund_seconds", "From the cancellation of a paid order to its refund", ["service"], buckets=LONG
)
WITHOUT_MONEY = Gauge("batalkan_cancellations_without_money", "Late refunds: none after 5 seconds", ["service"])
WITHOUT_MONEY_AGE = Gauge(
    "batalkan_cancellations_without_money_oldest_age_seconds", "Age of the oldest of them", ["service"]
)

_SAMPLED = """
with missing as (
    select at, said_at from cancellations c
    where said_at >= coalesce($1, '-infinity'::timestamptz) and at < (select clock_now()) - interval '5 seconds'
      and coalesce((select r.state from order_refunds r where r.order_id = c.order_id), '') <> 'issued'
)
select count(*) as missing, coalesce(extract(epoch from clock_now() - min(at)), 0)::float8 as age,
       least(min(said_at), clock_now() - interval '35 seconds') as since from missing
"""
"""Each looks up its refund, so that the plan is never to read all refunds."""


class WithoutMoney:
    """Counts the cancellations without money. Those before the first that lacks it are not looked at again, and half a
    minute is enough for a transaction to commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._since: datetime | None = None

    async def read(self) -> Rows:
        """How many there are, and the age of the oldest in seconds."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_SAMPLED, self._since)
        if row is None:
            return []
        self._since = row["since"]
        return [(row["missing"], row["age"])]


def cancelled(channel: str, paid_amount: int) -> None:
    """Counts a cancellation; `money` says whether a refund is due."""
    CANCELLATIONS.labels("orders", channel, "due" if paid_amount else "none").inc()


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
