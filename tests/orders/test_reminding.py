"""Orders publishes OrderCancelled again when no refund event arrives."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Destination
from services.orders.reminding import remind_once
from tests.harness.event_recorder import EventJson
from tests.harness.orders import OrdersHarness, Sale
from tests.harness.publishing import publish_as

AFTER = timedelta(minutes=7)


async def cancelled(harness: OrdersHarness) -> tuple[Sale, UUID]:
    """A paid order that was cancelled, and its cancellation."""
    sale = await harness.sold()
    order = await sale.buyer.post(f"{sale.path}/cancel")
    return sale, UUID(order["cancellation"]["cancellation_id"])


async def said(harness: OrdersHarness, sale: Sale) -> list[EventJson]:
    """All OrderCancelled events of the order, after the reminders that are due were sent."""
    await remind_once(harness.service.uow, AFTER)
    rows = await harness.fetch(
        "select 1 + reminded as times from cancellations where order_id = $1", UUID(sale.order_id)
    )
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled", times=rows[0]["times"])
    return [event for event in harness.recorder.about(sale.order_id) if event["type"] == "OrderCancelled"]


async def test_silence_is_broken(harness: OrdersHarness) -> None:
    """A cancellation without a refund event is published again, under its own id and with its own correlation id."""
    sale, cancellation_id = await cancelled(harness)
    assert len(await said(harness, sale)) == 1
    await harness.later(minutes=8)
    events = await said(harness, sale)
    assert [event["data"]["cancellation_id"] for event in events] == [str(cancellation_id)] * 2
    assert len({event["id"] for event in events}) == 2
    assert len({event["correlationid"] for event in events}) == 1


async def test_silence_about_a_sellers_cancellation_is_broken(harness: OrdersHarness) -> None:
    """A repeated event keeps the correlation id of the request from chat or customer service."""
    sale = await harness.sold()
    await harness.request(sale)
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    await harness.later(minutes=8)
    first, again = await said(harness, sale)
    assert first["correlationid"] == again["correlationid"]


async def test_silence_is_broken_ever_more_rarely(harness: OrdersHarness) -> None:
    """Each time takes twice as long as the one before, also after a pause, and there is no last time."""
    sale, _ = await cancelled(harness)
    await harness.later(minutes=120)
    assert len(await said(harness, sale)) == len(await said(harness, sale)) == 2
    await harness.later(minutes=8)
    assert len(await said(harness, sale)) == 2
    await harness.later(minutes=7)
    assert len(await said(harness, sale)) == 3
    for times in range(4, 20):
        await harness.later(minutes=256 * 7 + 1)
        assert len(await said(harness, sale)) == times


async def test_news_is_believed(harness: OrdersHarness) -> None:
    """After RefundIssued nothing is published again, and never for an order that was not paid."""
    sale, cancellation_id = await cancelled(harness)
    ids = {"refund_id": uuid4(), "order_id": UUID(sale.order_id), "buyer_id": sale.buyer.account_id}
    money = {"cancellation_id": cancellation_id, "amount": 50_000, "destination": Destination.LAZADA_CREDIT}
    await publish_as(harness.recorder.bus, "refunds", RefundIssued.model_validate(ids | money))
    unpaid = await harness.sold("unpaid")
    await unpaid.buyer.post(f"{unpaid.path}/cancel")
    await harness.later(minutes=8)
    assert len(await said(harness, sale)) == len(await said(harness, unpaid)) == 1
    waiting = "select from cancellations where order_id = any($1) and said_at is not null"
    assert await harness.fetch(waiting, [UUID(sale.order_id), UUID(unpaid.order_id)]) == []


async def test_a_delay_is_no_end(harness: OrdersHarness) -> None:
    """After RefundDelayed alone the cancellation is published again, since RefundIssued may have got lost."""
    sale, _ = await cancelled(harness)
    late = RefundDelayed(
        refund_id=uuid4(),
        order_id=UUID(sale.order_id),
        buyer_id=sale.buyer.account_id,
        destination=Destination.DANA,
        attempts=1,
        next_attempt_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    await publish_as(harness.recorder.bus, "refunds", late)
    await harness.later(minutes=8)
    assert len(await said(harness, sale)) == 2
