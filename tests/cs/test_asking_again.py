"""A request is repeated until it is answered, and a case always has a way out."""

from datetime import datetime, timedelta

import pytest

from contracts.orders import RejectionCode
from runtime.messaging.deadlines import LONGEST, SHORTEST, pause
from services.cs.cases import ASK_AGAIN, ASK_SELLER_AGAIN
from tests.harness.cs import HOUR, CsHarness
from tests.harness.cs_actors import Contacted
from tests.harness.event_recorder import EventJson

SECOND = timedelta(seconds=1)


@pytest.fixture
async def unanswered(harness: CsHarness) -> Contacted:
    """A case whose request to `orders`, or the answer to it, was lost."""
    case = await harness.contacted()
    harness.recorder.silent.add(case.order_id)
    await harness.run_out(case)
    return case


def asked(harness: CsHarness, case: Contacted) -> list[EventJson]:
    """The requests to cancel so far."""
    return harness.recorder.of_type("OrderCancelRequested", order_id=case.order_id)


async def pass_time(harness: CsHarness, by: timedelta) -> None:
    """Moves the time of the service, and fires the deadline that asks again."""
    await harness.fetch("update clock set shift = shift + $1", by)
    await harness.fire(ASK_AGAIN)


def test_the_pauses_grow() -> None:
    """A pause is as long as the wait so far, from half a minute to an hour."""
    waited = timedelta()
    pauses: list[timedelta] = []
    while len(pauses) < 12:
        pauses.append(pause(waited))
        waited += pauses[-1]
    assert pauses[0] == SHORTEST
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST


async def test_a_request_without_an_answer_is_repeated(harness: CsHarness, unanswered: Contacted) -> None:
    """A request is repeated with the same id and trace, after growing pauses, until there is an answer."""
    [first] = asked(harness, unanswered)
    await pass_time(harness, SHORTEST - 5 * SECOND)
    assert len(asked(harness, unanswered)) == 1
    for count in (2, 3, 4):
        await pass_time(harness, SHORTEST * 2**count)
        await harness.recorder.wait_for(unanswered.order_id, "OrderCancelRequested", times=count)
    requests = asked(harness, unanswered)
    assert {request["data"]["cancellation_id"] for request in requests} == {first["data"]["cancellation_id"]}
    assert {request["correlationid"] for request in requests} == {first["correlationid"]}
    harness.recorder.silent.clear()
    await pass_time(harness, HOUR)
    await harness.becomes(unanswered.case_id, "resolved")
    said = len(asked(harness, unanswered))
    await pass_time(harness, 24 * HOUR)
    assert len(asked(harness, unanswered)) == said
    assert await harness.fetch("select count(*) from deadlines") == [0]


@pytest.mark.parametrize("code", [RejectionCode.ALREADY_SHIPPED, RejectionCode.ALREADY_CANCELLED])
async def test_an_answer_that_is_said_again_has_no_second_effect(
    harness: CsHarness, unanswered: Contacted, code: RejectionCode
) -> None:
    """Repeated answers of `orders` have one effect on the case."""
    [request] = asked(harness, unanswered)
    harness.recorder.rejects[unanswered.order_id] = code
    for _ in range(3):
        await harness.recorder.answer(request)
    codes = await unanswered.codes()
    assert codes.count("cancel_rejected") == 1
    assert len(harness.recorder.of_type("CaseClosed", case_id=unanswered.case_id)) <= 1


async def test_the_agent_can_close_a_case_that_waits_for_orders(harness: CsHarness, unanswered: Contacted) -> None:
    """A closed case asks `orders` no more; a later cancellation still shows in the case that requested it."""
    case = unanswered
    [request] = asked(harness, case)
    closed = await case.close("answered")
    assert (closed["state"], closed["outcome"]) == ("closed", "answered")
    await case.buyer.open_case("Masih soal pesanan itu.")
    await pass_time(harness, HOUR)
    assert len(asked(harness, case)) == 1
    harness.recorder.silent.clear()
    await harness.recorder.answer(request)
    assert (await case.codes())[-1] == "order_cancelled"
    assert (await case.seen())["outcome"] == "answered"


async def test_the_seller_is_asked_again_within_the_24_hours(harness: CsHarness) -> None:
    """The same question with the same time is published again after five real minutes, even if the clock is moved, and
    no more once the time is over."""
    case = await harness.contacted()
    await pass_time(harness, 2 * ASK_SELLER_AGAIN)
    assert len(harness.recorder.of_type("SellerContacted", case_id=case.case_id)) == 1
    await harness.fetch("update cases set asked_at = asked_at - $1::interval", ASK_SELLER_AGAIN)
    await pass_time(harness, ASK_SELLER_AGAIN)
    await harness.recorder.wait_for(case.order_id, "SellerContacted", times=2)
    first, second = harness.recorder.of_type("SellerContacted", case_id=case.case_id)
    assert first["data"] == second["data"]
    assert datetime.fromisoformat(second["data"]["respond_by"]) == case.respond_by
    await harness.resume_clock(case.respond_by)
    assert await harness.fire(ASK_AGAIN) == 1
    assert await harness.fetch("select kind from deadlines") == ["seller_silent"]


async def test_an_answer_to_a_case_that_is_over_repeats_its_end(harness: CsHarness) -> None:
    """`CaseClosed` is published again when the seller answers a case that is over."""
    case = await harness.contacted()
    await case.close()
    await harness.deliver(case.replied)
    await harness.recorder.wait_for(case.case_id, "CaseClosed", times=2)
    ends = harness.recorder.of_type("CaseClosed", case_id=case.case_id)
    assert [one["data"]["outcome"] for one in ends] == ["withdrawn"] * 2
