"""What is asked is asked again until it is answered, and a case always has a way out."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from contracts.orders import RejectionCode
from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Destination
from runtime.messaging.deadlines import LONGEST, SHORTEST, pause
from runtime.observability.trace_context import new_id
from services.cs.office import ASK_AGAIN, ASK_SELLER_AGAIN
from tests.harness.cs import HOUR, Contacted, House
from tests.harness.cs_events import Heard

SECOND = timedelta(seconds=1)


@pytest.fixture
async def unanswered(house: House) -> Contacted:
    """A case whose request to cancel was lost on its way to `orders`, or the answer to it."""
    case = await house.contacted()
    house.ears.silent.add(case.order_id)
    await house.run_out(case)
    return case


async def asked(house: House, case: Contacted) -> list[Heard]:
    """The requests to cancel so far."""
    return house.ears.about("OrderCancelRequested", order_id=case.order_id)


async def pass_time(house: House, by: timedelta) -> None:
    """Moves the service's time, and fires what asks again."""
    await house.fetch("update clock set shift = shift + $1", by)
    await house.fire(ASK_AGAIN)


def test_the_pauses_grow() -> None:
    """As long again as it has taken so far, from half a minute to an hour."""
    waited = timedelta()
    pauses: list[timedelta] = []
    while len(pauses) < 12:
        pauses.append(pause(waited))
        waited += pauses[-1]
    assert pauses[0] == SHORTEST
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST


async def test_a_request_without_an_answer_is_said_again(house: House, unanswered: Contacted) -> None:
    """Under the same id, in the same story, after growing pauses; and no more once there is an answer."""
    [first] = await asked(house, unanswered)
    await pass_time(house, SHORTEST - 5 * SECOND)
    assert len(await asked(house, unanswered)) == 1
    for count in (2, 3, 4):
        await pass_time(house, SHORTEST * 2**count)
        await house.ears.until(lambda count=count: len(house.ears.about("OrderCancelRequested")) >= count)  # type: ignore[misc]
    requests = await asked(house, unanswered)
    assert {request["data"]["cancellation_id"] for request in requests} == {first["data"]["cancellation_id"]}
    assert {request["correlationid"] for request in requests} == {first["correlationid"]}
    house.ears.silent.clear()
    await pass_time(house, HOUR)
    await house.becomes(unanswered.case_id, "resolved")
    said = len(await asked(house, unanswered))
    await pass_time(house, 24 * HOUR)
    assert len(await asked(house, unanswered)) == said
    assert await house.fetch("select count(*) from deadlines") == [0]


@pytest.mark.parametrize("code", [RejectionCode.ALREADY_SHIPPED, RejectionCode.ALREADY_CANCELLED])
async def test_an_answer_that_is_said_again_has_no_second_effect(
    house: House, unanswered: Contacted, code: RejectionCode
) -> None:
    """`orders` answers each repeat; the case tells of it once, and ends or goes on once."""
    [request] = await asked(house, unanswered)
    house.ears.rejects[unanswered.order_id] = code
    for _ in range(3):
        await house.ears.answer(request)
    codes = await unanswered.buyer.codes(unanswered.case_id)
    assert codes.count("cancel_rejected") == 1
    assert len(house.ears.about("CaseClosed", case_id=unanswered.case_id)) <= 1


async def test_the_agent_can_close_a_case_that_waits_for_orders(house: House, unanswered: Contacted) -> None:
    """The buyer can go on with another case; when the order is cancelled after all, and the money comes, that is told
    in the case that asked for it."""
    case = unanswered
    [request] = await asked(house, case)
    closed = await case.agent.post(f"/cs/cases/{case.case_id}/close", outcome="answered")
    assert (closed["state"], closed["outcome"]) == ("closed", "answered")
    await case.buyer.open_case("Masih soal pesanan itu.")
    await pass_time(house, HOUR)
    assert len(await asked(house, case)) == 1
    house.ears.silent.clear()
    await house.ears.answer(request)
    assert (await case.buyer.codes(case.case_id))[-1] == "order_cancelled"
    assert (await case.buyer.case(case.case_id))["outcome"] == "answered"


async def test_the_seller_is_asked_again_within_the_24_hours(house: House) -> None:
    """The same question with the same time, in case the first was lost: after five real minutes, however the clock was
    moved, and not once the time is over."""
    case = await house.contacted()
    await pass_time(house, 2 * ASK_SELLER_AGAIN)
    assert len(house.ears.about("SellerContacted", case_id=case.case_id)) == 1
    await house.fetch("update cases set asked_at = asked_at - $1::interval", ASK_SELLER_AGAIN)
    await pass_time(house, ASK_SELLER_AGAIN)
    await house.ears.until(lambda: len(house.ears.about("SellerContacted", case_id=case.case_id)) == 2)
    first, second = house.ears.about("SellerContacted", case_id=case.case_id)
    assert first["data"] == second["data"]
    assert datetime.fromisoformat(second["data"]["respond_by"]) == case.respond_by
    await house.go_on(case.respond_by)
    assert await house.fire(ASK_AGAIN) == 1
    assert await house.fetch("select kind from deadlines") == ["seller_silent"]


async def test_whoever_has_not_heard_of_the_end_is_told_again(house: House) -> None:
    """An answer of the seller to a case that is over shows that `chat` has not heard of it."""
    case = await house.contacted()
    await case.agent.post(f"/cs/cases/{case.case_id}/close", outcome="withdrawn")
    await house.voice.say("chat", house.reply(case))
    await house.ears.until(lambda: len(house.ears.about("CaseClosed", case_id=case.case_id)) == 2)
    assert [one["data"]["outcome"] for one in house.ears.about("CaseClosed", case_id=case.case_id)] == ["withdrawn"] * 2


async def test_a_refund_that_is_said_again_is_told_once(house: House) -> None:
    """`refunds` says again what it has issued when it is reminded; that is no news, nor is a delay from before."""
    case = await house.contacted()
    ids = {"refund_id": new_id(), "order_id": UUID(case.order_id), "buyer_id": case.buyer.account_id}
    issued = RefundIssued(**ids, cancellation_id=new_id(), amount=100, destination=Destination.DANA)
    for _ in range(3):
        await house.voice.say("refunds", issued)
    at = datetime.fromisoformat("2026-03-01T10:00:00Z")
    await house.voice.say("refunds", RefundDelayed(**ids, destination=Destination.DANA, attempts=1, next_attempt_at=at))
    codes = await case.buyer.codes(case.case_id)
    assert codes.count("refund_issued") == 1
    assert "refund_delayed" not in codes
