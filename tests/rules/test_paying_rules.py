"""The rules of paying through DANA, one by one."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from contracts.words import Destination
from services.refunds.answers import Answer, Outcome
from services.refunds.domain import (
    DOUBT,
    IN_HAND,
    AtOrders,
    State,
    Step,
    answered,
    inquired,
    next_step,
    pause,
    refund_id_of,
    restored,
    sent,
)
from tests.rules.dana_model import CLOSED, NOT_FOUND, PAID, START, THROTTLED, TIMEOUT, TOLERANCE, Call, DanaModel

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def call_that_times_out(model: DanaModel) -> Call:
    """A payment is sent and times out; it is still on the network."""
    model.due()
    [call] = model.calls
    model.start(call)
    call.answer = TIMEOUT
    model.write_down(call)
    return call


@pytest.mark.parametrize(
    ("linked", "wallet_open", "destination", "sends"),
    [(True, True, "dana", 1), (True, False, "lazada_credit", 1), (False, True, "lazada_credit", 0)],
)
def test_a_refund_is_paid_or_credited_at_once(linked: bool, wallet_open: bool, destination: str, sends: int) -> None:
    """One payment, one answer: issued at DANA. If DANA refuses the wallet and no payment is in flight, the money goes
    to credit at once; after unlinking before the first payment, nothing is sent."""
    model = DanaModel(linked=linked, wallet_open=wallet_open)
    model.play()
    assert (model.refund.state, model.refund.destination, len(model.sends)) == (State.ISSUED, destination, sends)
    assert next_step(model.refund, linked=True, now=model.now) is Step.NOTHING


@pytest.mark.parametrize("recorded", [True, False])
def test_definite_failures_are_tried_again_five_times(recorded: bool) -> None:
    """After 5, 10, 20, 40 and 60 s a failed payment is sent again; after the sixth failure it goes to credit."""
    model = DanaModel()
    while model.deadline:
        model.play("failed", recorded=recorded)
    assert [wait.seconds for wait in model.waits] == [5, 10, 20, 40, 60]
    assert len(model.sends) == 6
    assert model.is_credited


def test_a_throttled_payment_is_sent_again() -> None:
    """A payment turned away at the door waits for its turn, and is not asked about: it never was inside."""
    model = DanaModel()
    for _ in range(3):
        model.play(answer=THROTTLED)
    assert [wait.seconds for wait in model.waits] == [5, 10, 20]
    model.dana = None
    model.play()
    assert model.refund.state is State.ISSUED
    assert not model.is_credited


@pytest.mark.parametrize("arrived", [True, False])
def test_an_unknown_outcome_is_inquired_first(arrived: bool) -> None:
    """After a timeout DANA is asked; what was paid is not sent again, what was not found is."""
    model = DanaModel()
    call = call_that_times_out(model)
    assert next_step(model.refund, linked=True, now=model.now) is Step.ASK
    if arrived:
        model.deliver(call.transfer)
    model.finish()
    assert (model.dana, len(model.sends)) == ("paid", 1 if arrived else 2)


def test_an_unanswered_inquiry_is_repeated() -> None:
    """As long as DANA does not answer, it is queried at growing intervals; nothing is sent and nothing is credited."""
    model = DanaModel()
    call_that_times_out(model)
    model.waits.clear()
    for _ in range(8):
        model.play(answer=TIMEOUT)
    assert [wait.seconds for wait in model.waits] == [10, 20, 40, 60, 60, 60, 60, 60]
    assert (len(model.sends), model.refund.state) == (1, State.SENDING)


@pytest.mark.parametrize("end", ["paid", "failed"])
def test_a_pending_payment_is_waited_for(end: str) -> None:
    """While a payment is pending at DANA nothing is sent; its result decides."""
    model = DanaModel()
    model.play("pending")
    for _ in range(4):
        model.play()
    assert len(model.sends) == 1
    model.dana = end
    model.finish()
    assert model.is_credited == (end == "failed")


@pytest.mark.parametrize("step", ["unlinked", "closed", "exhausted"])
def test_credit_waits_until_no_payment_can_arrive(step: str) -> None:
    """A payment that timed out and was not found may still arrive: credit is given only once DANA would refuse it."""
    model = DanaModel(skew=TOLERANCE)
    if step == "exhausted":
        model.refund = replace(model.refund, attempts=5, state=State.SENDING)
    model.due()
    model.now += IN_HAND
    [call] = model.calls
    model.start(call)
    call.answer = TIMEOUT
    model.write_down(call)
    sent_at = model.now
    model.linked = step != "unlinked"
    if step == "closed":
        model.play()
        model.play(answer=CLOSED)
    last = sent_at + 2 * TOLERANCE
    while model.deadline and model.deadline <= last:
        model.play(answer=None if model.refund.uncertain else CLOSED)
    assert not model.is_credited
    model.now = max(model.now, last)
    model.deliver(call.transfer)
    model.finish()
    assert model.dana == "paid"


def test_an_answer_is_as_old_as_its_inquiry() -> None:
    """NOT_FOUND for a payment that could still arrive decides nothing, however late it is stored."""
    model = DanaModel(skew=TOLERANCE)
    call = call_that_times_out(model)
    model.linked = False
    model.now += 2 * TOLERANCE - SECOND
    model.due()
    [question] = model.calls
    question.answer = model.status()
    assert question.answer == NOT_FOUND
    model.deliver(call.transfer)
    model.now += DOUBT
    model.write_down(question)
    model.check()
    model.finish()
    assert not model.is_credited


def test_a_failure_says_nothing_about_the_call_before() -> None:
    """A definite failure of the second payment leaves the first, which is still on its way, in doubt."""
    model = DanaModel()
    first = call_that_times_out(model)
    model.play()
    model.play("failed", recorded=False)
    assert model.refund.doubtful_until is not None
    model.linked = False
    model.play()
    assert not model.is_credited
    model.deliver(first.transfer)
    model.finish()
    assert model.dana == "paid"


def test_a_pending_payment_found_late_is_not_sent_again() -> None:
    """A payment that arrived in the last moment is waited for, also when the wallet is linked again meanwhile."""
    model = DanaModel()
    call = call_that_times_out(model)
    model.linked = False
    model.play()
    model.deliver(call.transfer, "pending")
    model.play()
    model.play()
    model.linked = True
    model.finish()
    assert len(model.sends) == 1


@pytest.mark.parametrize("doubt", [False, True])
def test_unlinked_between_decision_and_payment(doubt: bool) -> None:
    """A payment that was decided on and has not left never does; credit is given at once, or once an earlier payment
    of unknown outcome cannot arrive any more."""
    model = DanaModel()
    if doubt:
        call_that_times_out(model)
        model.play()
        assert model.deadline is not None
        model.now = model.deadline
    before = model.refund
    model.due()
    [call] = model.calls
    model.linked = False
    model.start(call)
    model.write_down(call)
    assert len(model.sends) == (1 if doubt else 0)
    assert model.refund.attempts == before.attempts
    assert model.is_credited is not doubt
    if doubt:
        model.deliver(model.transfers[0])
    model.finish()
    assert model.is_credited is not doubt


@pytest.mark.parametrize("die", ["before the call", "after the call"])
def test_a_dead_worker_is_followed_by_an_inquiry(die: str) -> None:
    """After a crash the next replica queries DANA first, half a minute later."""
    model = DanaModel()
    model.due()
    if die == "after the call":
        model.start(model.calls[0])
        model.deliver(model.transfers[0])
    model.crash()
    assert model.deadline == model.now + IN_HAND
    assert next_step(model.refund, linked=True, now=model.now) is Step.ASK
    model.finish()
    assert (model.dana, len(model.sends)) == ("paid", 1)


@pytest.mark.parametrize("arrives", ["before the question", "after the question", "never"])
def test_an_overtaken_call_changes_nothing(arrives: str) -> None:
    """A call that takes so long that another worker asks and goes on changes nothing when it ends at last."""
    model = DanaModel()
    model.due()
    [slow] = model.calls
    model.start(slow)
    if arrives == "before the question":
        model.deliver(slow.transfer)
    model.calls.remove(slow)
    model.play()
    if arrives == "after the question":
        model.deliver(slow.transfer)
    model.calls.append(slow)
    slow.answer = Answer(Outcome.FAILED, "5003800")
    before = model.refund
    model.write_down(slow)
    assert model.refund == before
    model.finish()
    assert model.dana == "paid"


@pytest.mark.parametrize("code", ["4033805", "4033809", "4033818", "4043811"])
def test_codes_of_a_closed_wallet(code: str) -> None:
    """Refused, abnormal, inactive and unknown accounts are not tried again."""
    model = DanaModel()
    sending = sent(model.refund, model.now)
    after = answered(model.refund, sending, Answer(Outcome.FAILED, code))
    assert next_step(after, linked=True, now=model.now + MINUTE) is Step.CREDIT


LOST = restored(DanaModel().refund, AtOrders.OPEN, START)


def test_on_hold_dana_is_asked_and_nothing_is_paid() -> None:
    """A restored refund is asked about; then, as long as the hold lasts, it is neither paid nor credited, whatever DANA
    says and however late it is."""
    assert next_step(LOST, linked=True, now=START, on_hold=True) is Step.ASK
    denied = inquired(LOST, NOT_FOUND, START)
    for linked, after in [(True, Step.SEND), (False, Step.WAIT)]:
        assert next_step(denied, linked, START, on_hold=True) is Step.HOLD
        assert next_step(denied, linked, START) is after
    assert next_step(inquired(LOST, CLOSED, START), linked=False, now=START + DOUBT, on_hold=True) is Step.HOLD
    assert pause(denied, Step.HOLD, START) == MINUTE
    assert inquired(LOST, PAID, START).state is State.ISSUED


def test_lost_credit_is_booked_again_once_dana_denies_it() -> None:
    """A refund that orders knows as credited is asked about, and then credited, on hold too and linked or not."""
    lost = replace(LOST, at_orders=AtOrders.CREDITED)
    assert next_step(lost, linked=True, now=START, on_hold=True) is Step.ASK
    for denied in (NOT_FOUND, CLOSED):
        assert next_step(inquired(lost, denied, START), linked=True, now=START, on_hold=True) is Step.CREDIT


def test_a_payment_that_only_orders_knows_is_never_made_again() -> None:
    """As long as DANA denies a payment that orders knows has arrived, it is asked again; then the payment is booked."""
    lost = replace(LOST, at_orders=AtOrders.PAID)
    for denied in (NOT_FOUND, CLOSED, TIMEOUT):
        lost = inquired(lost, denied, START + DOUBT)
        assert next_step(lost, linked=False, now=START + 2 * DOUBT) is Step.ASK
    found = inquired(lost, PAID, START)
    assert (found.state, found.destination) == (State.ISSUED, Destination.DANA)


def test_the_id_of_a_refund_follows_from_its_cancellation() -> None:
    """Always the same, since DANA knows it; another one for another cancellation; listed by time as before."""
    cancellation_id = UUID("0193d5a0-2222-7abc-8000-00000000000c")
    assert refund_id_of(cancellation_id) == UUID("0193d5a0-2222-594e-a961-f0738a0c9121")
    ids = [UUID(int=cancellation_id.int + (n << 80)) for n in range(5)]
    assert sorted(map(refund_id_of, ids)) == [refund_id_of(one) for one in ids]
    assert refund_id_of(UUID(int=cancellation_id.int + 1)) != refund_id_of(cancellation_id)
