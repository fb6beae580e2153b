"""The 24 hours of a silent seller (A), to the second. The clock of the database is stopped where a second decides."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from contracts.chat import SellerReplied
from contracts.orders import OrderPacked, OrderShipped, RejectionCode
from contracts.words import Channel
from runtime.messaging.envelope import Event
from runtime.observability.trace_context import new_id
from tests.harness.cs import HOUR, Contacted, CsHarness
from tests.harness.cs_actors import cancelled
from tests.harness.waiting import eventually

SECOND = timedelta(seconds=1)
DEEDS = ["reply", "pack", "ship"]
CODES = {"reply": "seller_replied", "pack": "order_packed", "ship": "order_shipped"}


async def act(harness: CsHarness, case: Contacted, deed: str, at: datetime) -> None:
    """Publishes now what the seller did at that time."""
    order_id, seller_id = UUID(case.order_id), UUID(case.seller_id)
    events: dict[str, tuple[str, Event]] = {
        "reply": ("chat", SellerReplied(case_id=UUID(case.case_id), order_id=order_id, seller_id=seller_id)),
        "pack": ("orders", OrderPacked(order_id=order_id, seller_id=seller_id, at=at)),
        "ship": ("orders", OrderShipped(order_id=order_id, seller_id=seller_id, at=at)),
    }
    source, event = events[deed]
    await harness.publisher.publish_as(source, event, at=at)


async def test_a_second_early_is_too_early(harness: CsHarness) -> None:
    """At 23:59:59 the deadline does not fire; at 24:00:00 the order is cancelled."""
    case = await harness.contacted()
    await harness.stand_still(case.respond_by - SECOND)
    assert await harness.fire() == 0
    await harness.stand_still(case.respond_by - timedelta(microseconds=1))
    assert await harness.fire() == 0
    assert (await case.buyer.case(case.case_id))["state"] == "awaiting_seller"
    request = await harness.run_out(case)
    assert request["data"]["channel"] == "cs"
    assert request["data"]["role"] == "system"
    assert request["data"]["requested_by"] is None
    closed = await harness.recorder.first("CaseClosed", case_id=case.case_id)
    assert closed["data"]["outcome"] == "order_cancelled"
    assert (await case.buyer.case(case.case_id))["outcome"] == "order_cancelled"
    assert (await case.buyer.codes(case.case_id))[-3:] == ["seller_contacted", "seller_silent", "order_cancelled"]


async def test_the_time_is_24_hours_exactly(harness: CsHarness) -> None:
    """`respond_by` and the deadline are one time, 24 hours after the contact by the clock of the database."""
    case = await harness.contacted()
    said = await case.buyer.get(f"/cs/cases/{case.case_id}/messages")
    contacted_at = datetime.fromisoformat(said["items"][-1]["at"])
    assert case.respond_by - contacted_at == timedelta(hours=24)
    assert await harness.fetch("select due_at from deadlines where kind = 'seller_silent'") == [case.respond_by]


async def test_packed_before_it_was_asked_is_no_answer(harness: CsHarness) -> None:
    """A packing from before the contact calls nothing off, even if its event arrives later."""
    case = await harness.contacted()
    await act(harness, case, "pack", case.respond_by - timedelta(hours=24, microseconds=1))
    await eventually(lambda: case.agent.case(case.case_id), enough=lambda one: one["order"]["status"] == "packed")
    assert (await case.buyer.codes(case.case_id))[-1] == "seller_contacted"
    await harness.run_out(case)


@pytest.mark.parametrize("deed", DEEDS)
async def test_a_deed_in_the_last_second_calls_it_off(harness: CsHarness, deed: str) -> None:
    """A reply, packing or shipping at 23:59:59 calls the cancellation off and returns the case to its agent."""
    case = await harness.contacted()
    await harness.stand_still(case.respond_by - SECOND)
    await act(harness, case, deed, case.respond_by - SECOND)
    await eventually(
        lambda: case.agent.case(case.case_id), enough=lambda one: one["agent_id"] == str(case.agent.account_id)
    )
    assert await harness.fetch("select count(*) from deadlines") == [0]
    await harness.stand_still(case.respond_by + 10 * HOUR)
    assert await harness.fire() == 0
    shown = await case.agent.case(case.case_id)
    assert (shown["state"], shown["agent_id"]) == ("seller_replied", str(case.agent.account_id))
    assert (await case.buyer.codes(case.case_id))[-2:] == [CODES[deed], "agent_joined"]
    assert not harness.recorder.of_type("OrderCancelRequested", order_id=case.order_id)


@pytest.mark.parametrize("deed", DEEDS)
async def test_a_deed_in_time_counts_when_its_event_arrives_late(harness: CsHarness, deed: str) -> None:
    """A deed in time that is in flight when the deadline fires still calls the cancellation off."""
    case = await harness.contacted()
    harness.cases.settling = HOUR
    await harness.stand_still(case.respond_by)
    assert await harness.fire() == 1
    assert (await case.buyer.case(case.case_id))["state"] == "cancelling"
    await act(harness, case, deed, case.respond_by - SECOND)
    await harness.becomes(case.case_id, "seller_replied")
    await harness.stand_still(case.respond_by + 10 * HOUR)
    assert await harness.fire() == 0
    assert not harness.recorder.of_type("OrderCancelRequested", order_id=case.order_id)


@pytest.mark.parametrize("fired", [True, False])
@pytest.mark.parametrize("deed", DEEDS)
async def test_a_deed_at_24_hours_is_too_late(harness: CsHarness, deed: str, fired: bool) -> None:
    """A deed at 24:00:00 does not call the cancellation off, whether the deadline has fired by then or not."""
    case = await harness.contacted()
    await harness.stand_still(case.respond_by)
    if fired:
        await harness.fire()
    await act(harness, case, deed, case.respond_by)
    assert "seller_too_late" in await case.buyer.codes(case.case_id)
    await harness.run_out(case)


@pytest.mark.parametrize(
    ("code", "state"),
    [("already_shipped", "seller_replied"), ("not_found", "active"), ("already_cancelled", "resolved")],
)
async def test_a_rejection_by_orders_is_shown_in_the_case(harness: CsHarness, code: str, state: str) -> None:
    """A case whose cancellation `orders` rejects shows the reason and returns to its agent, or is resolved."""
    case = await harness.contacted()
    harness.recorder.rejects[case.order_id] = RejectionCode(code)
    await harness.run_out(case)
    await harness.becomes(case.case_id, state)
    if state != "resolved":
        await eventually(lambda: case.agent.case(case.case_id), enough=lambda one: one["agent_id"] is not None)
    messages = (await case.buyer.get(f"/cs/cases/{case.case_id}/messages"))["items"]
    (rejected,) = [message for message in messages if message["code"] == "cancel_rejected"]
    assert rejected["data"]["code"] == code


@pytest.mark.parametrize("channel", [Channel.APP, Channel.WEB, Channel.CHAT])
async def test_a_cancellation_of_another_way_resolves_the_case(harness: CsHarness, channel: Channel) -> None:
    """A cancellation by the buyer or the seller resolves the case and calls its deadlines off."""
    case = await harness.contacted()
    await harness.publisher.publish_as("orders", cancelled(UUID(case.order_id), new_id(), channel), copies=2)
    closed = await harness.recorder.first("CaseClosed", case_id=case.case_id)
    assert closed["data"]["outcome"] == "order_cancelled"
    assert await harness.fetch("select count(*) from deadlines") == [0]
    last = (await case.buyer.get(f"/cs/cases/{case.case_id}/messages"))["items"][-1]
    assert (last["code"], last["data"]["channel"], last["data"]["ours"]) == ("order_cancelled", channel.value, False)
    assert len(harness.recorder.of_type("CaseClosed", case_id=case.case_id)) == 1


async def test_a_cancellation_just_before_the_request_is_shown(harness: CsHarness) -> None:
    """A case whose order another channel cancels during the request shows that cancellation and the rejection."""
    case = await harness.contacted()
    harness.recorder.silent.add(case.order_id)
    request = await harness.run_out(case)
    await harness.publisher.publish_as("orders", cancelled(UUID(case.order_id), new_id(), Channel.CHAT))
    await harness.becomes(case.case_id, "resolved")
    harness.recorder.rejects[case.order_id] = RejectionCode.ALREADY_CANCELLED
    await harness.recorder.answer(request)
    assert (await case.buyer.codes(case.case_id))[-2:] == ["order_cancelled", "cancel_rejected"]
    assert (await case.buyer.case(case.case_id))["outcome"] == "order_cancelled"


async def test_closing_the_case_calls_it_off(harness: CsHarness) -> None:
    """Closing a case calls its 24 hours off."""
    case = await harness.contacted()
    await case.agent.send(f"/cs/cases/{case.case_id}/close", outcome="withdrawn")
    await harness.stand_still(case.respond_by)
    assert await harness.fire() == 0


async def test_one_trace_from_the_case_to_its_end(harness: CsHarness) -> None:
    """All events of a case have its correlation id and its trace."""
    case = await harness.contacted()
    await harness.run_out(case)
    trace = (await case.buyer.case(case.case_id))["correlation_id"]
    events = [
        await harness.recorder.first("SellerContacted", case_id=case.case_id),
        await harness.recorder.first("OrderCancelRequested", order_id=case.order_id),
        await harness.recorder.first("CaseClosed", case_id=case.case_id),
    ]
    assert {event["correlationid"] for event in events} == {trace}
    assert len({event["traceparent"].split("-")[1] for event in events}) == 1


async def test_the_end_of_a_case_belongs_to_its_own_trace(harness: CsHarness) -> None:
    """`CaseClosed` belongs to the trace of the case, not to that of the seller's shipping."""
    case = await harness.contacted()
    await act(harness, case, "ship", case.respond_by - HOUR)
    await eventually(lambda: case.agent.case(case.case_id), enough=lambda one: one["agent_id"] is not None)
    await case.agent.send(f"/cs/cases/{case.case_id}/close", outcome="order_processed")
    closed = await harness.recorder.first("CaseClosed", case_id=case.case_id)
    assert closed["correlationid"] == (await case.buyer.case(case.case_id))["correlation_id"]
