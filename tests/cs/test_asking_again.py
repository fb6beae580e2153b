"""A request is repeated until it is answered, and a case always has a way out."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from contracts.orders import RejectionCode
from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Destination
from runtime.messaging.deadlines import LONGEST, SHORTEST, pause
from runtime.observability.trace_context import new_id
from services.cs.cases import ASK_AGAIN, ASK_SELLER_AGAIN
from tests.harness.cs import HOUR, Contacted, CsHarness
from tests.harness.event_recorder import EventJson

SECOND = timedelta(seconds=1)


@pytest.fixture
async def unanswered(harness: CsHarness) -> Contacted:
    """A case whose request to `orders`, or the answer to it, was lost."""
    case = await harness.contacted()
    harness.recorder.silent.add(case.order_id)
    await harness.run_out(case)
    return case


async def asked(harness: CsHarness, case: Contacted) -> list[EventJson]:
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
    [first] = await asked(harness, unanswered)
    await pass_time(harness, SHORTEST - 5 * SECOND)
    assert len(await asked(harness, unanswered)) == 1
    for count in (2, 3, 4):
        await pass_time(harness, SHORTEST * 2**count)
        await harness.recorder.until(lambda count=count: len(harness.recorder.of_type("OrderCancelRequested")) >= count)  # type: ignore[misc]
    requests = await asked(harness, unanswered)
    assert {request["data"]["cancellation_id"] for request in requests} == {first["data"]["cancellation_id"]}
    assert {request["correlationid"] for request in requests} == {first["correlationid"]}
    harness.recorder.silent.clear()
    await pass_time(harness, HOUR)
    await harness.becomes(unanswered.case_id, "resolved")
    said = len(await asked(harness, unanswered))
    await pass_time(harness, 24 * HOUR)
    assert len(await asked(harness, unanswered)) == said
    assert await harness.fetch("select count(*) from deadlines") == [0]


@pytest.mark.parametrize("code", [RejectionCode.ALREADY_SHIPPED, RejectionCode.ALREADY_CANCELLED])
async def test_an_answer_that_is_said_again_has_no_second_effect(
    harness: CsHarness, unanswered: Contacted, code: RejectionCode
) -> None:
    """Repeated answers of `orders` have one effect on the case."""
    [request] = await asked(harness, unanswered)
    harness.recorder.rejects[unanswered.order_id] = code
    for _ in range(3):
        await harness.recorder.answer(request)
    codes = await unanswered.buyer.codes(unanswered.case_id)
    assert codes.count("cancel_rejected") == 1
    assert len(harness.recorder.of_type("CaseClosed", case_id=unanswered.case_id)) <= 1


async def test_the_agent_can_close_a_case_that_waits_for_orders(harness: CsHarness, unanswered: Contacted) -> None:
    """A closed case asks `orders` no more; a later cancellation still shows in the case that requested it."""
    case = unanswered
    [request] = await asked(harness, case)
    closed = await case.agent.send(f"/cs/cases/{case.case_id}/close", outcome="answered")
    assert (closed["state"], closed["outcome"]) == ("closed", "answered")
    await case.buyer.open_case("Masih soal pesanan itu.")
    await pass_time(harness, HOUR)
    assert len(await asked(harness, case)) == 1
    harness.recorder.silent.clear()
    await harness.recorder.answer(request)
    assert (await case.buyer.codes(case.case_id))[-1] == "order_cancelled"
    assert (await case.buyer.case(case.case_id))["outcome"] == "answered"


async def test_the_seller_is_asked_again_within_the_24_hours(harness: CsHarness) -> None:
    """The same question with the same time is published again after five real minutes, even if the clock is moved, and
    no more once the time is over."""
    case = await harness.contacted()
    await pass_time(harness, 2 * ASK_SELLER_AGAIN)
    assert len(harness.recorder.of_type("SellerContacted", case_id=case.case_id)) == 1
    await harness.fetch("update cases set asked_at = asked_at - $1::interval", ASK_SELLER_AGAIN)
    await pass_time(harness, ASK_SELLER_AGAIN)
    await harness.recorder.until(lambda: len(harness.recorder.of_type("SellerContacted", case_id=case.case_id)) == 2)
    first, second = harness.recorder.of_type("SellerContacted", case_id=case.case_id)
    assert first["data"] == second["data"]
    assert datetime.fromisoformat(second["data"]["respond_by"]) == case.respond_by
    await harness.resume_clock(case.respond_by)
    assert await harness.fire(ASK_AGAIN) == 1
    assert await harness.fetch("select kind from deadlines") == ["seller_silent"]


async def test_an_answer_to_a_case_that_is_over_repeats_its_end(harness: CsHarness) -> None:
    """`CaseClosed` is published again when the seller answers a case that is over."""
    case = await harness.contacted()
    await case.agent.send(f"/cs/cases/{case.case_id}/close", outcome="withdrawn")
    await harness.publisher.publish_as("chat", harness.reply(case))
    await harness.recorder.until(lambda: len(harness.recorder.of_type("CaseClosed", case_id=case.case_id)) == 2)
    assert [one["data"]["outcome"] for one in harness.recorder.of_type("CaseClosed", case_id=case.case_id)] == [
        "withdrawn"
    ] * 2


async def test_a_repeated_refund_is_shown_once(harness: CsHarness) -> None:
    """A repeated `RefundIssued`, or a delay from before it, adds no message."""
    case = await harness.contacted()
    ids = {"refund_id": new_id(), "order_id": UUID(case.order_id), "buyer_id": case.buyer.account_id}
    issued = RefundIssued(**ids, cancellation_id=new_id(), amount=100, destination=Destination.DANA)
    for _ in range(3):
        await harness.publisher.publish_as("refunds", issued)
    at = datetime.fromisoformat("2026-03-01T10:00:00Z")
    await harness.publisher.publish_as(
        "refunds", RefundDelayed(**ids, destination=Destination.DANA, attempts=1, next_attempt_at=at)
    )
    codes = await case.buyer.codes(case.case_id)
    assert codes.count("refund_issued") == 1
    assert "refund_delayed" not in codes
