"""What orders says again when nobody speaks of the money."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Destination
from services.orders.reminding import remind_once
from tests.harness.bus_events import Heard, say
from tests.harness.orders import Sale, Shop

AFTER = timedelta(minutes=7)


async def cancelled(shop: Shop) -> tuple[Sale, UUID]:
    """A paid order that was cancelled, and its cancellation."""
    sale = await shop.sold()
    order = await sale.buyer.post(f"{sale.path}/cancel")
    return sale, UUID(order["cancellation"]["cancellation_id"])


async def said(shop: Shop, sale: Sale) -> list[Heard]:
    """Each time that it was said that the order is cancelled, after a look for what has to be said again."""
    await remind_once(shop.service.work, AFTER)
    rows = await shop.fetch("select 1 + reminded as times from cancellations where order_id = $1", UUID(sale.order_id))
    await shop.ears.hear(sale.order_id, "OrderCancelled", times=rows[0]["times"])
    return [heard for heard in shop.ears.events[sale.order_id] if heard["type"] == "OrderCancelled"]


async def test_silence_is_broken(shop: Shop) -> None:
    """A cancellation of whose refund nothing is heard is said again, under its own id and in its own story."""
    sale, cancellation_id = await cancelled(shop)
    assert len(await said(shop, sale)) == 1
    await shop.later(minutes=8)
    events = await said(shop, sale)
    assert [event["data"]["cancellation_id"] for event in events] == [str(cancellation_id)] * 2
    assert len({event["id"] for event in events}) == 2
    assert len({event["correlationid"] for event in events}) == 1


async def test_silence_about_a_sellers_cancellation_is_broken(shop: Shop) -> None:
    """What chat or customer service asked for goes on in the story in which they asked."""
    sale = await shop.sold()
    await shop.request(sale)
    await shop.ears.hear(sale.order_id, "OrderCancelled")
    await shop.later(minutes=8)
    first, again = await said(shop, sale)
    assert first["correlationid"] == again["correlationid"]


async def test_silence_is_broken_ever_more_rarely(shop: Shop) -> None:
    """Each time takes twice as long as the one before, also after a pause, and there is no last time."""
    sale, _ = await cancelled(shop)
    await shop.later(minutes=120)
    assert len(await said(shop, sale)) == len(await said(shop, sale)) == 2
    await shop.later(minutes=8)
    assert len(await said(shop, sale)) == 2
    await shop.later(minutes=7)
    assert len(await said(shop, sale)) == 3
    for times in range(4, 20):
        await shop.later(minutes=256 * 7 + 1)
        assert len(await said(shop, sale)) == times


async def test_news_is_believed(shop: Shop) -> None:
    """Once a refund is heard to have arrived, nothing is said again; nor is it of an order that was not paid."""
    sale, cancellation_id = await cancelled(shop)
    ids = {"refund_id": uuid4(), "order_id": UUID(sale.order_id), "buyer_id": sale.buyer.account_id}
    money = {"cancellation_id": cancellation_id, "amount": 50_000, "destination": Destination.LAZADA_CREDIT}
    await say(shop.ears.bus, "refunds", RefundIssued.model_validate(ids | money))
    unpaid = await shop.sold("unpaid")
    await unpaid.buyer.post(f"{unpaid.path}/cancel")
    await shop.later(minutes=8)
    assert len(await said(shop, sale)) == len(await said(shop, unpaid)) == 1
    waiting = "select from cancellations where order_id = any($1) and said_at is not null"
    assert await shop.fetch(waiting, [UUID(sale.order_id), UUID(unpaid.order_id)]) == []


async def test_a_delay_is_no_end(shop: Shop) -> None:
    """A refund of which it was only heard that it is late is reminded of: that it has arrived may have got lost."""
    sale, _ = await cancelled(shop)
    late = RefundDelayed(
        refund_id=uuid4(),
        order_id=UUID(sale.order_id),
        buyer_id=sale.buyer.account_id,
        destination=Destination.DANA,
        attempts=1,
        next_attempt_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    await say(shop.ears.bus, "refunds", late)
    await shop.later(minutes=8)
    assert len(await said(shop, sale)) == 2
