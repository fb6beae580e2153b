"""Orders shows the state of a refund with the order."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Destination
from runtime.messaging import consumer
from tests.harness.orders import OrdersHarness, Sale
from tests.harness.publishing import publish_as


async def cancelled(harness: OrdersHarness) -> tuple[Sale, RefundDelayed, RefundIssued]:
    """A cancelled order, and the events that refunds may publish about it."""
    sale = await harness.sold()
    order = await sale.buyer.post(f"{sale.path}/cancel")
    ids = {"refund_id": uuid4(), "order_id": UUID(sale.order_id), "buyer_id": sale.buyer.account_id}
    delayed = RefundDelayed(
        **ids, destination=Destination.DANA, attempts=1, next_attempt_at=datetime(2026, 3, 1, tzinfo=UTC)
    )
    cancellation_id = UUID(order["cancellation"]["cancellation_id"])
    issued = RefundIssued(**ids, cancellation_id=cancellation_id, amount=50_000, destination=Destination.LAZADA_CREDIT)
    return sale, delayed, issued


async def test_an_issued_refund_is_shown(harness: OrdersHarness) -> None:
    """After RefundIssued the order shows amount and destination."""
    sale, _, issued = await cancelled(harness)
    assert (await sale.seen())["refund"] is None
    await publish_as(harness.recorder.bus, "refunds", issued)
    assert (await sale.seen())["refund"] == {
        "refund_id": str(issued.refund_id),
        "state": "issued",
        "amount": 50_000,
        "destination": "lazada_credit",
    }


async def test_a_delayed_refund_is_not_said_to_have_arrived(harness: OrdersHarness) -> None:
    """After RefundDelayed the order shows the delay; after RefundIssued the arrival, also at another destination."""
    sale, delayed, issued = await cancelled(harness)
    await publish_as(harness.recorder.bus, "refunds", delayed)
    refund = (await sale.seen())["refund"]
    assert (refund["state"], refund["amount"], refund["destination"]) == ("sending", 50_000, "dana")
    await publish_as(harness.recorder.bus, "refunds", issued, sequence=2)
    refund = (await sale.seen())["refund"]
    assert (refund["state"], refund["destination"]) == ("issued", "lazada_credit")


async def test_a_destination_that_was_added_later_is_shown_as_it_is(harness: OrdersHarness) -> None:
    """An unknown destination is stored as it was received, and the order can still be read."""
    sale, _, issued = await cancelled(harness)
    await publish_as(harness.recorder.bus, "refunds", issued.model_copy(update={"destination": "gopay"}))
    assert (await sale.seen())["refund"]["destination"] == "gopay"
    assert (await sale.buyer.get("/orders"))["items"][0]["refund"]["destination"] == "gopay"


async def test_old_news_changes_nothing(harness: OrdersHarness) -> None:
    """A RefundDelayed that is consumed after RefundIssued, late or twice, changes nothing."""
    sale, delayed, issued = await cancelled(harness)
    await publish_as(harness.recorder.bus, "refunds", issued, sequence=3)
    shown = await sale.seen()
    await publish_as(harness.recorder.bus, "refunds", delayed, delayed, sequence=1)
    assert await sale.seen() == shown


async def test_an_unknown_order_blocks_nothing(harness: OrdersHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event about an unknown order does not block the events behind it."""
    monkeypatch.setattr(consumer, "MAX_FAILURES", 1)
    sale, delayed, issued = await cancelled(harness)
    nothing = {"order_id": uuid4(), "refund_id": uuid4()}
    unknown = [delayed.model_copy(update=nothing), issued.model_copy(update=nothing)]
    await publish_as(harness.recorder.bus, "refunds", *unknown, issued)
    assert (await sale.seen())["refund"]["state"] == "issued"
