"""The list: who is told what, once, with numbers without gaps."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from contracts.chat import SellerReplied
from contracts.cs import CaseClosed, Outcome
from contracts.orders import CancelledPieces, OrderDelivered, OrderItemsCancelled, OrderShipmentDue
from contracts.words import Channel, Fault, PaymentMethod
from runtime.messaging import retention
from runtime.messaging.envelope import Event
from services.notifications import store
from tests.harness.actors import assert_problem
from tests.harness.deals import PRICE, Deal
from tests.harness.notifications import NotificationsHarness, Receiver, deliveries, kinds, make_webhook, told

SOON = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)


def part(deal: Deal) -> OrderItemsCancelled:
    """Two pieces of an order are cancelled."""
    lines = (CancelledPieces(product_id=uuid4(), quantity=2, net=5_000),)
    ids = {**deal.ids, "cancellation_id": uuid4(), "refund_amount": 5_000}
    return OrderItemsCancelled(**ids, channel=Channel.APP, fault=Fault.BUYER, lines=lines)


def every_event(deal: Deal) -> list[Event]:
    """One of each event that people are told of, in the order of a story."""
    case_id, refund_id = uuid4(), uuid4()
    return [
        deal.placed(),
        deal.moved("processing"),
        OrderShipmentDue(**deal.ids, ship_by=SOON),
        part(deal),
        deal.contacted(case_id),
        SellerReplied(**deal.ids, case_id=case_id),
        deal.closed(case_id),
        deal.cancelled("chat"),
        deal.delayed(refund_id),
        deal.refunded(refund_id),
        deal.moved("shipped"),
        OrderDelivered(**deal.ids, at=SOON),
    ]


BUYERS = [
    *("OrderItemsCancelled", "SellerContacted", "SellerReplied", "CaseClosed", "OrderCancelled", "RefundDelayed"),
    *("RefundIssued", "OrderShipped", "OrderDelivered"),
]
SELLERS = ["OrderPaid", "OrderShipmentDue", "OrderItemsCancelled", "SellerContacted", "OrderCancelled"]


async def test_each_side_is_told_what_concerns_it(harness: NotificationsHarness) -> None:
    """Buyer and seller are told of their order, numbered from 1, with a text and facts that name it."""
    deal = harness.deal()
    await harness.deliver(*every_event(deal))
    for person, expected in ((deal.buyer, BUYERS), (deal.seller, SELLERS)):
        found = await told(person)
        assert [one["kind"] for one in found] == expected
        assert [one["seq"] for one in found] == list(range(1, len(expected) + 1))
        assert {one["order_id"] for one in found} == {str(deal.order_id)}
        assert all("“Kemeja batik”" in one["text"] and one["data"]["title"] == "Kemeja batik" for one in found)
    asked = next(one for one in await told(deal.seller) if one["kind"] == "SellerContacted")
    assert asked["case_id"]
    assert asked["data"]["question"] == "Apakah pesanan sudah diproses?"
    assert asked["data"]["respond_by"]
    assert "question" not in (await told(deal.buyer))[1]["data"]


async def test_an_event_that_comes_again_is_told_once(harness: NotificationsHarness) -> None:
    """Events that are published again, one by one and in one batch, change nothing; a refund is called late once."""
    deal = harness.deal()
    events = every_event(deal)
    await harness.deliver(*events, *events, deal.delayed(events[8].refund_id, attempts=2))  # type: ignore[attr-defined]
    assert (await kinds(deal.buyer), await kinds(deal.seller)) == (BUYERS, SELLERS)
    assert await harness.fetch("select * from parked") == []


async def test_what_comes_before_its_order_is_told_later(harness: NotificationsHarness) -> None:
    """Events that do not name the person wait for the order; none is lost, in any order."""
    deal = harness.deal()
    first, *others = every_event(deal)
    await harness.deliver(*reversed(others))
    assert "OrderShipped" not in await kinds(deal.buyer)
    assert "OrderPaid" not in await kinds(deal.seller)
    await harness.deliver(first)
    assert sorted(await kinds(deal.buyer)) == sorted(BUYERS)
    assert sorted(await kinds(deal.seller)) == sorted(SELLERS)
    assert await harness.fetch("select * from early where order_id = $1", deal.order_id) == []


async def test_a_seller_is_told_of_an_order_to_process(harness: NotificationsHarness) -> None:
    """Cash on delivery counts from placing it, any other order from paying it; one that was not paid in time never."""
    cash, unpaid = harness.deal(), harness.deal()
    await harness.deliver(cash.placed().model_copy(update={"payment_method": PaymentMethod.COD}), unpaid.placed())
    assert await kinds(cash.seller) == ["OrderPlaced"]
    await harness.deliver(unpaid.cancelled("system", fault=Fault.NONE))
    assert await kinds(unpaid.seller) == []
    (expired,) = await told(unpaid.buyer)
    assert "belum dibayar" in expired["text"]


@pytest.mark.parametrize(
    ("channel", "fault", "words"),
    [
        ("app", Fault.BUYER, "oleh pembeli melalui aplikasi"),
        ("cs", Fault.SELLER, "karena penjual tidak memproses dan tidak menjawab"),
        ("system", Fault.SELLER, "karena penjual tidak mengirimnya"),
        ("moon", "tide", "dibatalkan."),
    ],
)
async def test_a_cancellation_says_why(harness: NotificationsHarness, channel: str, fault: str, words: str) -> None:
    """The text says by whom an order was cancelled, and what comes back; an unknown channel is left out."""
    deal = await harness.sold()
    why = {"channel": channel, "fault": fault}
    await harness.deliver(deal.cancelled().model_copy(update=why))
    (one,) = await told(deal.buyer)
    assert words in one["text"]
    assert "Rp189.000" in one["text"]
    assert one["data"].items() >= {**why, "amount": PRICE}.items()


async def test_a_kind_of_a_newer_replica_has_a_neutral_text(harness: NotificationsHarness) -> None:
    """While the service is rolled out, an older replica shows what a newer one has stored, and tells what it kept."""
    deal, early = await harness.sold(), harness.deal()
    newer = "update notifications set kind = 'OrderReturned' where account_id = $1"
    await harness.fetch(newer, deal.seller.account_id)
    (one,) = await told(deal.seller)
    assert (one["kind"], one["text"]) == ("OrderReturned", "Ada kabar baru tentang pesanan “Kemeja batik”.")
    kept = "insert into early (order_id, side, kind, about, data) values ($1, 'buyer', 'OrderReturned', $1, '{}')"
    await harness.fetch(kept, early.order_id)
    await harness.deliver(early.placed())
    assert [one["text"] for one in await told(early.buyer)] == ["Ada kabar baru tentang pesanan “Kemeja batik”."]


async def test_a_case_without_an_order_tells_nothing(harness: NotificationsHarness) -> None:
    """Of a case that is about no order, the event names no account, and is handled without effect."""
    deal = harness.deal()
    await harness.deliver(CaseClosed(case_id=uuid4(), order_id=None, outcome=Outcome.ANSWERED), deal.placed())
    assert await kinds(deal.buyer) == []


async def test_pages_and_unread(harness: NotificationsHarness) -> None:
    """Pages come newest first; reading marks all up to a number, never less, never more than there is."""
    deal = harness.deal()
    await harness.deliver(*every_event(deal))
    first = await deal.buyer.get("/notifications", limit=4)
    assert ([one["seq"] for one in first["items"]], first["next"], first["unread"]) == ([9, 8, 7, 6], 6, 9)
    second = await deal.buyer.get("/notifications", limit=4, cursor=first["next"])
    third = await deal.buyer.get("/notifications", limit=4, cursor=second["next"])
    assert ([one["seq"] for one in third["items"]], third["next"]) == ([1], None)
    for seq, unread in ((7, 2), (3, 2), (2_000_000, 0)):
        assert await deal.buyer.post("/notifications/read", {"seq": seq}) == {"last_seq": 9, "unread": unread}
    assert {one["read"] for one in await told(deal.buyer)} == {True}
    assert (await deal.seller.get("/notifications"))["unread"] == len(SELLERS)


async def test_an_account_without_notifications(harness: NotificationsHarness) -> None:
    """An account that was never told anything has an empty list, also an agent's; without a token it is refused."""
    for role in ("buyer", "seller", "agent"):
        person = harness.actors.person(role)
        assert await person.get("/notifications") == {"items": [], "next": None, "unread": 0}
        assert await person.post("/notifications/read", {"seq": 1}) == {"last_seq": 0, "unread": 0}
    assert_problem(await harness.actors.anonymous().ask("GET", "/notifications"), 401)


async def test_numbers_have_no_gaps_when_all_comes_at_once(harness: NotificationsHarness) -> None:
    """The orders of one seller that are paid at the same moment are numbered 1 to n, each once."""
    deals = [harness.deal() for _ in range(20)]
    seller = deals[0].seller
    deals = [Deal(deal.order_id, deal.buyer, seller) for deal in deals]
    await asyncio.gather(*(harness.deliver(deal.placed(), deal.moved("processing")) for deal in deals))
    found = await told(seller)
    assert [one["seq"] for one in found] == list(range(1, 21))
    assert {one["order_id"] for one in found} == {str(deal.order_id) for deal in deals}


async def test_old_notifications_are_deleted(harness: NotificationsHarness, receiver: Receiver) -> None:
    """Notifications are kept for 90 days; those that are gone count neither as unread nor as gaps. What was sent to a
    webhook is kept for 30 days."""
    deal = harness.deal()
    webhook = await make_webhook(deal.seller, receiver.url, "OrderPaid", "OrderCancelled")
    await harness.deliver(*every_event(deal))
    await receiver.has(2)
    for table, mine, about, old in (
        ("notifications", "account_id", deal.buyer.account_id, "case when seq <= 4 then 91 else 89 end"),
        ("deliveries", "order_id", deal.order_id, "case when kind = 'OrderPaid' then 31 else 29 end"),
    ):
        past = f"update {table} set at = now() - make_interval(days => {old}) where {mine} = $1"  # noqa: S608
        await harness.fetch(past, about)
    for table, age in store.KEPT:
        await retention.delete_old(harness.service.uow, table, age)
    page = await deal.buyer.get("/notifications")
    assert ([one["seq"] for one in page["items"]], page["unread"]) == ([9, 8, 7, 6, 5], 5)
    assert [one["kind"] for one in await deliveries(deal.seller, webhook)] == ["OrderCancelled"]
    await harness.deliver(part(deal))
    assert (await deal.buyer.get("/notifications"))["unread"] == 6
    assert (await deal.buyer.post("/notifications/read", {"seq": 5}))["unread"] == 5


async def test_the_deadline_of_shipping_says_when(harness: NotificationsHarness) -> None:
    """The reminder names the time in Western Indonesian Time, and as data."""
    deal = await harness.sold()
    await harness.deliver(OrderShipmentDue(**deal.ids, ship_by=SOON + timedelta(microseconds=1)))
    *_, due = await told(deal.seller)
    assert "01-12-2026 10.00 WIB" in due["text"]
    assert due["data"]["ship_by"] == "2026-12-01T03:00:00.000001+00:00"
