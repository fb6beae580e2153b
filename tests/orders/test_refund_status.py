"""Orders shows the state of a refund with the order, and publishes OrderCancelled again when no refund arrives."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Destination
from runtime.messaging import consumer
from services.orders.refund_reminders import remind_once, republish
from tests.harness.event_recorder import EventJson
from tests.harness.orders import OrdersHarness, Sale
from tests.harness.publishing import publish_as

AFTER = timedelta(minutes=7)


async def cancelled(harness: OrdersHarness) -> tuple[Sale, RefundDelayed, RefundIssued]:
    """A paid order that was cancelled, and the events that refunds may publish about it."""
    sale = await harness.sold()
    order = await sale.buyer.post(f"{sale.path}/cancel")
    ids = {"refund_id": uuid4(), "order_id": UUID(sale.order_id), "buyer_id": sale.buyer.account_id}
    delayed = RefundDelayed(
        **ids, destination=Destination.DANA, attempts=1, next_attempt_at=datetime(2026, 3, 1, tzinfo=UTC)
    )
    cancellation_id = UUID(order["cancellation"]["cancellation_id"])
    issued = RefundIssued(**ids, cancellation_id=cancellation_id, amount=50_000, destination=Destination.LAZADA_CREDIT)
    return sale, delayed, issued


async def published(harness: OrdersHarness, sale: Sale) -> list[EventJson]:
    """All OrderCancelled events of the order, after the reminders that are due were sent."""
    await remind_once(harness.service.uow, AFTER)
    [row] = await harness.fetch("select 1 + reminded as times from cancellations where order_id = $1", sale.order_id)
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled", row["times"])
    return [event for event in harness.recorder.about(sale.order_id) if event["type"] == "OrderCancelled"]


async def test_an_issued_refund_is_shown(harness: OrdersHarness) -> None:
    """After RefundDelayed the order shows the delay; after RefundIssued the arrival, also at another destination."""
    sale, delayed, issued = await cancelled(harness)
    assert (await sale.seen())["refund"] is None
    shown = {"refund_id": str(issued.refund_id), "amount": 50_000}
    await publish_as(harness.recorder.bus, "refunds", delayed)
    assert (await sale.seen())["refund"] == shown | {"state": "sending", "destination": "dana"}
    await publish_as(harness.recorder.bus, "refunds", issued, sequence=2)
    assert (await sale.seen())["refund"] == shown | {"state": "issued", "destination": "lazada_credit"}


async def test_a_destination_that_was_added_later_is_shown_as_it_is(harness: OrdersHarness) -> None:
    """An unknown destination is stored as it was received, and the order can still be read."""
    sale, _, issued = await cancelled(harness)
    await publish_as(harness.recorder.bus, "refunds", issued.model_copy(update={"destination": "gopay"}))
    assert (await sale.seen())["refund"]["destination"] == "gopay"
    assert (await sale.buyer.get("/orders"))["items"][0]["refund"]["destination"] == "gopay"


async def test_an_older_refund_event_changes_nothing(harness: OrdersHarness) -> None:
    """A RefundDelayed that is consumed after RefundIssued, late or twice, changes nothing."""
    sale, delayed, issued = await cancelled(harness)
    await publish_as(harness.recorder.bus, "refunds", issued, sequence=3)
    shown = await sale.seen()
    await publish_as(harness.recorder.bus, "refunds", delayed, delayed, sequence=1)
    assert await sale.seen() == shown


async def test_a_refund_that_has_arrived_stays_so(harness: OrdersHarness) -> None:
    """A RefundDelayed after RefundIssued changes nothing, even with a higher number, as a restored `refunds` may give
    it; another RefundIssued, with the next number, does."""
    sale, delayed, issued = await cancelled(harness)
    await publish_as(harness.recorder.bus, "refunds", issued)
    shown = await sale.seen()
    await publish_as(harness.recorder.bus, "refunds", delayed, sequence=2)
    assert await sale.seen() == shown
    elsewhere = issued.model_copy(update={"destination": Destination.DANA})
    await publish_as(harness.recorder.bus, "refunds", elsewhere, sequence=3)
    assert (await sale.seen())["refund"]["destination"] == "dana"


async def test_a_refund_of_an_unknown_order_blocks_no_other_event(
    harness: OrdersHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event about an unknown order does not block the events behind it."""
    monkeypatch.setattr(consumer, "MAX_FAILURES", 1)
    sale, delayed, issued = await cancelled(harness)
    nothing = {"order_id": uuid4(), "refund_id": uuid4()}
    unknown = [delayed.model_copy(update=nothing), issued.model_copy(update=nothing)]
    await publish_as(harness.recorder.bus, "refunds", *unknown, issued)
    assert (await sale.seen())["refund"]["state"] == "issued"


async def test_every_paid_cancellation_can_be_published_again(harness: OrdersHarness) -> None:
    """Page by page, in the order of the ids, with what is known of the refund: nothing, its id, or where it has
    arrived. One of an order that was not paid is not among them."""
    (nothing, *_), (late, delayed, _), (arrived, _, issued) = [await cancelled(harness) for _ in range(3)]
    unpaid = await harness.sold("unpaid")
    await unpaid.buyer.post(f"{unpaid.path}/cancel")
    await publish_as(harness.recorder.bus, "refunds", delayed, issued)
    last, pages = UUID(int=0), []
    while page := await republish(harness.service.uow, last, 2):
        pages += page
        last = page[-1]
    assert pages == sorted(set(pages))
    known = []
    for sale in (nothing, late, arrived):
        first, again = [await harness.recorder.wait_for(sale.order_id, "OrderCancelled", times) for times in (1, 2)]
        assert first["correlationid"] == again["correlationid"]
        known.append((again["data"]["refund_id"], again["data"]["refunded_to"]))
    assert known == [(None, None), (str(delayed.refund_id), None), (str(issued.refund_id), "lazada_credit")]
    assert harness.recorder.names(unpaid.order_id).count("OrderCancelled") == 1


@pytest.mark.parametrize("delay", [False, True])
async def test_a_cancellation_without_refund_is_published_again(delay: bool, harness: OrdersHarness) -> None:
    """A cancellation without RefundIssued is published again, under its own id and with its own correlation id; also
    after RefundDelayed, since RefundIssued may have got lost."""
    sale, delayed, issued = await cancelled(harness)
    assert len(await published(harness, sale)) == 1
    if delay:
        await publish_as(harness.recorder.bus, "refunds", delayed)
    await harness.later(minutes=8)
    events = await published(harness, sale)
    assert [event["data"]["cancellation_id"] for event in events] == [str(issued.cancellation_id)] * 2
    assert len({event["id"] for event in events}) == 2
    assert len({event["correlationid"] for event in events}) == 1


async def test_a_sellers_cancellation_without_refund_is_published_again(harness: OrdersHarness) -> None:
    """A repeated event keeps the correlation id of the request from chat or customer service."""
    sale = await harness.sold()
    await harness.request(sale)
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    await harness.later(minutes=8)
    first, again = await published(harness, sale)
    assert first["correlationid"] == again["correlationid"]


async def test_the_time_between_reminders_doubles(harness: OrdersHarness) -> None:
    """Each time takes twice as long as the one before, also after a pause, and there is no last time."""
    await harness.fetch("update cancellations set said_at = null")  # no reminders of what other tests have cancelled
    sale, *_ = await cancelled(harness)
    await harness.later(minutes=120)
    assert len(await published(harness, sale)) == len(await published(harness, sale)) == 2
    for minutes, times in ((8, 2), (7, 3), *((256 * 7 + 1, times) for times in range(4, 20))):
        await harness.later(minutes=minutes)
        assert len(await published(harness, sale)) == times


async def test_an_issued_refund_needs_no_reminder(harness: OrdersHarness) -> None:
    """After RefundIssued nothing is published again, and never for an order that was not paid."""
    sale, _, issued = await cancelled(harness)
    await publish_as(harness.recorder.bus, "refunds", issued)
    unpaid = await harness.sold("unpaid")
    await unpaid.buyer.post(f"{unpaid.path}/cancel")
    await harness.later(minutes=8)
    assert len(await published(harness, sale)) == len(await published(harness, unpaid)) == 1
    waiting = "select from cancellations where order_id = any($1) and said_at is not null"
    assert await harness.fetch(waiting, [sale.order_id, unpaid.order_id]) == []
