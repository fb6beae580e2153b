"""The article's fourth way: customer service, and the 24 hours of a silent seller."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from contracts.orders import OrderCancelRequested
from runtime.observability.trace_context import new_id
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import ContactedCase, codes, contacted, system_message
from tests.harness.event_recorder import EventRecorder
from tests.harness.publishing import publish_as
from tests.harness.system import SystemUnderTest

HOUR = timedelta(hours=1)
DEEDS = {
    "reply": ("seller_replied", "processing", "seller_answered"),
    "pack": ("order_packed", "packed", "order_processed"),
    "ship": ("order_shipped", "shipped", "order_processed"),
}
"""The seller's action: the message in the case, the order's status, and the outcome of the case."""


@pytest.fixture
async def on_duty(agent: Agent) -> AsyncIterator[Agent]:
    """The agent on duty; requests at intervals, as of an open page, keep the agent on duty."""
    await agent.duty()

    async def look() -> None:
        while True:
            await asyncio.sleep(5)
            await agent.ask("GET", "/cs/duty")

    looking = asyncio.create_task(look())
    yield agent
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    await agent.duty(False)


async def asked(system: SystemUnderTest, agent: Agent, seller: Seller, product: str, deed: str = "") -> ContactedCase:
    """A new case whose seller has been contacted; the order is packed if the seller will ship it."""
    buyer = Buyer.signed(system.http, system.keys, "buyer")
    order_id = await buyer.buy(product)
    if deed == "ship":
        await seller.done(order_id, "pack")
    return await contacted(buyer, [agent], seller, order_id)


async def test_the_seller_is_silent(system: SystemUnderTest, recorder: EventRecorder, on_duty: Agent) -> None:
    """After 24 hours customer service cancels the order, at the seller's fault, and all the money comes back."""
    seller = await Seller.register(system.http, "seller")
    case = await asked(system, on_duty, seller, await seller.offer())
    path = f"/cs/cases/{case.case_id}"
    before = await seller.score()
    await system.advance(24 * HOUR)
    ended = await case.becomes("resolved")
    assert ended["outcome"] == "order_cancelled"
    refund = await case.buyer.refund(case.order_id)
    assert refund.items() >= {"amount": 189_000, "destination": "lazada_credit"}.items()
    cancellation = (await case.buyer.order(case.order_id))["cancellation"]
    assert (cancellation["channel"], cancellation["fault"]) == ("cs", "seller")
    assert (await seller.score())["rating"] < before["rating"]
    await system_message(case.buyer, path, "refund_issued")
    assert (await codes(case.buyer, path))[-4:] == [
        *("seller_contacted", "seller_silent", "order_cancelled", "refund_issued")
    ]
    await system_message(case.buyer, f"/chat/threads/{case.thread_id}", "case_closed")
    await system_message(case.buyer, f"/chat/threads/{case.thread_id}", "refund_issued")
    assert (await case.buyer.send(f"{path}/rate", rating=5))["rating"] == 5
    await recorder.wait_for(order_id := case.order_id, "RefundIssued")
    await recorder.wait_for(case.case_id, "CaseClosed")
    trace = recorder.trace(case.correlation_id)
    assert [one["type"] for one in trace if one["subject"] == order_id] == [
        *("SellerContacted", "OrderCancelRequested", "OrderCancelled", "RefundIssued")
    ]
    assert {one["subject"] for one in trace if one["type"] == "CaseClosed"} == {case.case_id}


async def test_the_seller_acts_in_the_23rd_hour(
    system: SystemUnderTest, recorder: EventRecorder, on_duty: Agent, seller: Seller, product: str
) -> None:
    """A reply, a pack or a ship in the 23rd hour: two hours later a silent seller's order is gone, and these are not.

    Each case is with its agent again.
    """
    cases = {deed: await asked(system, on_duty, seller, product, deed) for deed in DEEDS}
    silent = await asked(system, on_duty, seller, product)
    await system.advance(23 * HOUR)
    for deed, case in cases.items():
        await case.seller(seller, deed)
        await system_message(case.buyer, f"/cs/cases/{case.case_id}", DEEDS[deed][0])
    await system.advance(2 * HOUR)
    await silent.becomes("resolved")
    await asyncio.gather(*(case.back() for case in cases.values()))
    for deed, (_, status, outcome) in DEEDS.items():
        case = cases[deed]
        assert (await case.buyer.order(case.order_id))["status"] == status
        await on_duty.send(f"/cs/cases/{case.case_id}/close", outcome=outcome)
        await recorder.wait_for(case.case_id, "CaseClosed")
        assert "OrderCancelRequested" not in {one["type"] for one in recorder.about(case.order_id)}
    replied = await recorder.wait_for(cases["reply"].order_id, "SellerReplied")
    assert replied["correlationid"] == cases["reply"].correlation_id
    trace = recorder.trace(replied["correlationid"])
    assert [one["type"] for one in trace] == ["SellerContacted", "SellerReplied", "CaseClosed"]


async def test_24_hours_to_the_second(system: SystemUnderTest, on_duty: Agent, seller: Seller, product: str) -> None:
    """At 23:59:59 a reply, a pack and a ship call it off; a microsecond before 24:00:00 nothing is cancelled yet, and
    at 24:00:00 the order is."""
    earlier = await asked(system, on_duty, seller, product)
    cases = {deed: await asked(system, on_duty, seller, product, deed) for deed in DEEDS}
    silent = await asked(system, on_duty, seller, product)
    async with system.clock() as stand_still:
        for deed, case in cases.items():
            await stand_still(case.respond_by - timedelta(seconds=1))
            await case.seller(seller, deed)
            await system_message(case.buyer, f"/cs/cases/{case.case_id}", DEEDS[deed][0])
        await stand_still(silent.respond_by - timedelta(microseconds=1))
        await earlier.becomes("cancelling", "resolved")  # so the deadline loop has run
        assert (await silent.now())["state"] == "awaiting_seller"
        await stand_still(silent.respond_by)
        await silent.becomes("cancelling", "resolved")
    await silent.becomes("resolved")
    assert (await silent.buyer.order(silent.order_id))["cancellation"]["channel"] == "cs"
    for deed, (_, status, outcome) in DEEDS.items():
        assert (await cases[deed].buyer.order(cases[deed].order_id))["status"] == status
        await cases[deed].back()
        await on_duty.send(f"/cs/cases/{cases[deed].case_id}/close", outcome=outcome)


async def test_the_sellers_clock_is_not_asked(
    system: SystemUnderTest, on_duty: Agent, seller: Seller, product: str
) -> None:
    """A seller whose machine is an hour ahead is on time at 23:59:59, and one whose machine is an hour behind is late
    at 24:00:00."""
    ahead, behind = [await asked(system, on_duty, seller, product) for _ in range(2)]

    async def reply(case: ContactedCase, wrong: timedelta) -> None:
        now = datetime.fromisoformat((await case.now())["respond_by"]) + wrong
        headers = {"Authorization": f"Bearer {seller.token}", "Date": format_datetime(now.astimezone(UTC), usegmt=True)}
        path = f"/chat/threads/{case.thread_id}/messages"
        (await system.http.post(path, json={"text": "Besok kami kirim."}, headers=headers)).raise_for_status()

    async with system.clock() as stand_still:
        await stand_still(ahead.respond_by - timedelta(seconds=1))
        await reply(ahead, HOUR)
        await system_message(ahead.buyer, f"/cs/cases/{ahead.case_id}", "seller_replied")
        await stand_still(behind.respond_by)
        await behind.becomes("cancelling", "resolved")
        await reply(behind, -HOUR)
    assert (await behind.becomes("resolved"))["outcome"] == "order_cancelled"
    assert (await ahead.buyer.order(ahead.order_id))["status"] == "processing"
    await ahead.back()


async def test_an_agents_cancellation_is_not_the_sellers_fault(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, product: str
) -> None:
    """A request in the name of an agent is granted at the platform's fault, and the money comes back."""
    order_id = await buyer.buy(product)
    ids = {"cancellation_id": new_id(), "order_id": order_id, "requested_by": None}
    await publish_as(system.bus("cs"), "cs", OrderCancelRequested(**ids, channel="cs", role="agent"))
    cancelled = (await recorder.wait_for(order_id, "OrderCancelled"))["data"]
    assert (cancelled["channel"], cancelled["fault"]) == ("cs", "platform")
    assert (await buyer.refund(order_id))["destination"] == "lazada_credit"
