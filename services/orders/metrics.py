"""The metrics of `orders`: cancellations, and their money."""

from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

from contracts.words import Channel
from runtime.observability.telemetry import LONG

CANCELLATIONS = Counter("batalkan_cancellations", "Cancelled orders", ["service", "channel", "money"])
REFUND_SECONDS = Histogram(
    "batalkan_refund_seconds", "From the cancellation of a paid order to its refund", ["service"], buckets=LONG
)
WITHOUT_MONEY = Gauge("batalkan_cancellations_without_money", "Late refunds: none after 5 seconds", ["service"])
WITHOUT_MONEY_AGE = Gauge(
    "batalkan_cancellations_without_money_oldest_age_seconds", "Age of the oldest of them", ["service"]
)

SAMPLED = """
select count(*), coalesce(extract(epoch from clock_now() - min(at)), 0)::float8 from cancellations c
where said_at is not null and at < (select clock_now()) - interval '5 seconds'
  and coalesce((select r.state from order_refunds r where r.order_id = c.order_id), '') <> 'issued'
"""
"""Cancellations without money. Their index, `cancellations_waiting`, has those of the last minutes; each looks up its
refund, so that the plan is never to read all refunds."""


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
