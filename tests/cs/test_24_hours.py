"""The 24 hours of a silent seller (A), to the second. The clock of the database is stopped where a second decides."""

from datetime import datetime, timedelta

import pytest

from contracts.orders import RejectionCode
from contracts.words import Channel
from tests.harness.cs import HOUR, CsHarness
from tests.harness.cs_actors import Contacted
from tests.harness.waiting import eventually

SECOND = timedelta(seconds=1)
DEEDS = ["reply", "packed", "shipped"]


async def act(harness: CsHarness, case: Contacted, deed: str, at: datetime) -> None:
    """Publishes now what the seller did at that time."""
    await harness.deliver(case.replied if deed == "reply" else case.deal.moved(deed, at), at=at)


async def test_the_24_hours_end_to_the_second(harness: CsHarness) -> None:
    """`respond_by` and the deadline are one time, 24 hours after the contact. A microsecond earlier it does not fire;
    at 24:00:00 the order is cancelled, and all events of the case have its correlation id and trace."""
    case = await harness.contacted()
    assert case.respond_by - datetime.fromisoformat((await case.messages())[-1]["at"]) == timedelta(hours=24)
    assert await harness.fetch("select due_at from deadlines where kind = 'seller_silent'") == [case.respond_by]
    for early in (SECOND, timedelta(microseconds=1)):
        await harness.stand_still(case.respond_by - early)
        assert await harness.fire() == 0
    assert (await case.seen())["state"] == "awaiting_seller"
    request = await harness.run_out(case)
    assert request["data"].items() >= {"channel": "cs", "role": "system", "requested_by": None}.items()
    closed = await harness.recorder.first("CaseClosed", case_id=case.case_id)
    assert closed["data"]["outcome"] == "order_cancelled"
    shown = await case.seen()
    assert shown["outcome"] == "order_cancelled"
    assert (await case.codes())[-3:] == ["seller_contacted", "seller_silent", "order_cancelled"]
    events = [await harness.recorder.first("SellerContacted", case_id=case.case_id), request, closed]
    assert {event["correlationid"] for event in events} == {shown["correlation_id"]}
    assert len({event["traceparent"].split("-")[1] for event in events}) == 1


async def test_packed_before_it_was_asked_is_no_answer(harness: CsHarness) -> None:
    """A packing from before the contact calls nothing off, even if its event arrives later."""
    case = await harness.contacted()
    await act(harness, case, "packed", case.respond_by - timedelta(hours=24, microseconds=1))
    await eventually(lambda: case.agent.case(case.case_id), enough=lambda one: one["order"]["status"] == "packed")
    assert (await case.codes())[-1] == "seller_contacted"
    await harness.run_out(case)


@pytest.mark.parametrize("deed", DEEDS)
async def test_a_deed_in_the_last_second_calls_it_off(harness: CsHarness, deed: str) -> None:
    """A reply, packing or shipping at 23:59:59 calls the cancellation off and returns the case to its agent."""
    case = await harness.contacted()
    await harness.stand_still(case.respond_by - SECOND)
    await act(harness, case, deed, case.respond_by - SECOND)
    await case.back()
    assert await harness.fetch("select count(*) from deadlines") == [0]
    await harness.stand_still(case.respond_by + 10 * HOUR)
    assert await harness.fire() == 0
    assert (await case.seen())["state"] == "seller_replied"
    assert (await case.codes())[-2:] == [f"{'seller_replied' if deed == 'reply' else f'order_{deed}'}", "agent_joined"]
    assert not harness.recorder.of_type("OrderCancelRequested", order_id=case.order_id)


@pytest.mark.parametrize("deed", DEEDS)
async def test_a_deed_in_time_counts_when_its_event_arrives_late(harness: CsHarness, deed: str) -> None:
    """A deed in time that is in flight when the deadline fires still calls the cancellation off."""
    case = await harness.contacted()
    harness.cases.settling = HOUR
    await harness.stand_still(case.respond_by)
    assert await harness.fire() == 1
    assert (await case.seen())["state"] == "cancelling"
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
    assert "seller_too_late" in await case.codes()
    await harness.run_out(case)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        *((code, "seller_replied") for code in ("already_shipped", "wrong_state")),
        *(("not_found", "active"), ("already_cancelled", "resolved")),
    ],
)
async def test_a_rejection_by_orders_is_shown_in_the_case(harness: CsHarness, code: str, state: str) -> None:
    """A case whose cancellation `orders` rejects shows the reason and returns to its agent, or is resolved."""
    case = await harness.contacted()
    harness.recorder.rejects[case.order_id] = RejectionCode(code)
    await harness.run_out(case)
    await harness.becomes(case.case_id, state)
    if state != "resolved":
        await case.back()
    (rejected,) = [message for message in await case.messages() if message["code"] == "cancel_rejected"]
    assert rejected["data"]["code"] == code


@pytest.mark.parametrize("channel", [Channel.APP, Channel.WEB, Channel.CHAT])
async def test_a_cancellation_of_another_way_resolves_the_case(harness: CsHarness, channel: Channel) -> None:
    """A cancellation by the buyer or the seller resolves the case and calls its deadlines off."""
    case = await harness.contacted()
    await harness.deliver(case.deal.cancelled(channel), copies=2)
    closed = await harness.recorder.first("CaseClosed", case_id=case.case_id)
    assert closed["data"]["outcome"] == "order_cancelled"
    assert await harness.fetch("select count(*) from deadlines") == [0]
    last = (await case.messages())[-1]
    assert (last["code"], last["data"]["channel"], last["data"]["ours"]) == ("order_cancelled", channel.value, False)
    assert len(harness.recorder.of_type("CaseClosed", case_id=case.case_id)) == 1


async def test_a_cancellation_just_before_the_request_is_shown(harness: CsHarness) -> None:
    """A case whose order another channel cancels during the request shows that cancellation and the rejection."""
    case = await harness.contacted()
    harness.recorder.silent.add(case.order_id)
    request = await harness.run_out(case)
    await harness.deliver(case.deal.cancelled(Channel.CHAT))
    await harness.becomes(case.case_id, "resolved")
    harness.recorder.rejects[case.order_id] = RejectionCode.ALREADY_CANCELLED
    await harness.recorder.answer(request)
    assert (await case.codes())[-2:] == ["order_cancelled", "cancel_rejected"]
    assert (await case.seen())["outcome"] == "order_cancelled"


async def test_closing_the_case_calls_it_off(harness: CsHarness) -> None:
    """Closing a case calls its 24 hours off."""
    case = await harness.contacted()
    await case.close()
    await harness.stand_still(case.respond_by)
    assert await harness.fire() == 0


async def test_the_end_of_a_case_belongs_to_its_own_trace(harness: CsHarness) -> None:
    """`CaseClosed` belongs to the trace of the case, not to that of the seller's shipping."""
    case = await harness.contacted()
    await act(harness, case, "shipped", case.respond_by - HOUR)
    await case.back()
    await case.close("order_processed")
    closed = await harness.recorder.first("CaseClosed", case_id=case.case_id)
    assert closed["correlationid"] == (await case.seen())["correlation_id"]
