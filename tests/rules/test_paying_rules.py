"""The rules of paying through DANA, one by one."""

from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.words import Destination
from services.refunds.answers import Answer, Outcome
from services.refunds.domain import DOUBT, IN_HAND, State, Step, answered, next_step, sent
from tests.rules.dana_model import CLOSED, NOT_FOUND, THROTTLED, TIMEOUT, TOLERANCE, Call, World

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def call_that_is_lost_sight_of(world: World) -> Call:
    """A payment is sent and times out; it is still on the network."""
    world.due()
    [call] = world.calls
    world.start(call)
    call.answer = TIMEOUT
    world.write_down(call)
    return call


def test_it_is_paid_at_once_where_all_is_well() -> None:
    """One payment, one answer: issued at DANA."""
    world = World()
    world.play()
    assert (world.refund.state, world.refund.destination, len(world.sends)) == (State.ISSUED, Destination.DANA, 1)
    assert next_step(world.refund, linked=True, now=world.now) is Step.NOTHING


@pytest.mark.parametrize("recorded", [True, False])
def test_definite_failures_are_tried_again_five_times(recorded: bool) -> None:
    """After 5, 10, 20, 40 and 60 s a failed payment is sent again; after the sixth failure it goes to credit."""
    world = World()
    while world.deadline:
        world.play("failed", recorded=recorded)
    assert [wait.seconds for wait in world.waits] == [5, 10, 20, 40, 60]
    assert len(world.sends) == 6
    assert world.is_credited


def test_a_throttled_payment_is_sent_again() -> None:
    """A payment turned away at the door waits for its turn, and is not asked about: it never was inside."""
    world = World()
    for _ in range(3):
        world.play(answer=THROTTLED)
    assert [wait.seconds for wait in world.waits] == [5, 10, 20]
    world.dana = None
    world.play()
    assert world.refund.state is State.ISSUED
    assert not world.is_credited


@pytest.mark.parametrize("arrived", [True, False])
def test_an_unknown_outcome_is_asked_about_first(arrived: bool) -> None:
    """After a timeout DANA is asked; what was paid is not sent again, what was not found is."""
    world = World()
    call = call_that_is_lost_sight_of(world)
    assert next_step(world.refund, linked=True, now=world.now) is Step.ASK
    if arrived:
        world.deliver(call.flight)
    world.finish()
    assert (world.dana, len(world.sends)) == ("paid", 1 if arrived else 2)


def test_a_question_without_an_answer_is_asked_again() -> None:
    """As long as DANA says nothing, it is asked, at the pauses, and nothing is sent and nothing is credited."""
    world = World()
    call_that_is_lost_sight_of(world)
    world.waits.clear()
    for _ in range(8):
        world.play(answer=TIMEOUT)
    assert [wait.seconds for wait in world.waits] == [10, 20, 40, 60, 60, 60, 60, 60]
    assert (len(world.sends), world.refund.state) == (1, State.SENDING)


@pytest.mark.parametrize("end", ["paid", "failed"])
def test_a_pending_payment_is_waited_for(end: str) -> None:
    """While DANA is at work on it nothing is sent; how that ends decides."""
    world = World()
    world.play("pending")
    for _ in range(4):
        world.play()
    assert len(world.sends) == 1
    world.dana = end
    world.finish()
    assert world.is_credited == (end == "failed")


@pytest.mark.parametrize("step", ["unlinked", "closed", "exhausted"])
def test_credit_waits_until_no_payment_can_arrive(step: str) -> None:
    """A payment that timed out and was not found may still arrive: credit is given only once DANA would refuse it."""
    world = World(skew=TOLERANCE)
    if step == "exhausted":
        world.refund = replace(world.refund, attempts=5, state=State.SENDING)
    world.due()
    world.now += IN_HAND
    [call] = world.calls
    world.start(call)
    call.answer = TIMEOUT
    world.write_down(call)
    sent_at = world.now
    world.linked = step != "unlinked"
    if step == "closed":
        world.play()
        world.play(answer=CLOSED)
    last = sent_at + 2 * TOLERANCE
    while world.deadline and world.deadline <= last:
        world.play(answer=None if world.refund.uncertain else CLOSED)
    assert not world.is_credited
    world.now = max(world.now, last)
    world.deliver(call.flight)
    world.finish()
    assert world.dana == "paid"


def test_an_answer_is_as_old_as_its_question() -> None:
    """That DANA did not know a payment that could still arrive settles nothing, however late it is written down."""
    world = World(skew=TOLERANCE)
    call = call_that_is_lost_sight_of(world)
    world.linked = False
    world.now += 2 * TOLERANCE - SECOND
    world.due()
    [question] = world.calls
    question.answer = world.status()
    assert question.answer == NOT_FOUND
    world.deliver(call.flight)
    world.now += DOUBT
    world.write_down(question)
    world.check()
    world.finish()
    assert not world.is_credited


def test_a_failure_says_nothing_about_the_call_before() -> None:
    """A definite failure of the second payment leaves the first, which is still on its way, in doubt."""
    world = World()
    first = call_that_is_lost_sight_of(world)
    world.play()
    world.play("failed", recorded=False)
    assert world.refund.doubtful_until is not None
    world.linked = False
    world.play()
    assert not world.is_credited
    world.deliver(first.flight)
    world.finish()
    assert world.dana == "paid"


def test_a_pending_payment_found_late_is_not_sent_again() -> None:
    """A payment that arrived in the last moment is waited for, also when the wallet is linked again meanwhile."""
    world = World()
    call = call_that_is_lost_sight_of(world)
    world.linked = False
    world.play()
    world.deliver(call.flight, "pending")
    world.play()
    world.play()
    world.linked = True
    world.finish()
    assert len(world.sends) == 1


def test_a_closed_wallet_goes_to_credit_at_once() -> None:
    """Where DANA says that the wallet cannot receive money, and nothing is on its way, credit is given at once."""
    world = World(wallet_open=False)
    world.play()
    assert world.is_credited
    assert len(world.sends) == 1


def test_an_unlinked_wallet_goes_to_credit_without_a_payment() -> None:
    """Unlinked before anything was sent: nothing is sent any more."""
    world = World(linked=False)
    world.play()
    assert world.is_credited
    assert not world.sends


@pytest.mark.parametrize("doubt", [False, True])
def test_unlinked_between_decision_and_payment(doubt: bool) -> None:
    """A payment that was decided on and has not left never does; credit is given at once, or once an earlier payment
    of unknown outcome cannot arrive any more."""
    world = World()
    if doubt:
        call_that_is_lost_sight_of(world)
        world.play()
        assert world.deadline is not None
        world.now = world.deadline
    before = world.refund
    world.due()
    [call] = world.calls
    world.linked = False
    world.start(call)
    world.write_down(call)
    assert len(world.sends) == (1 if doubt else 0)
    assert world.refund.attempts == before.attempts
    assert world.is_credited is not doubt
    if doubt:
        world.deliver(world.flights[0])
    world.finish()
    assert world.is_credited is not doubt


@pytest.mark.parametrize("die", ["before the call", "after the call"])
def test_a_worker_that_dies_is_followed_by_a_question(die: str) -> None:
    """Whoever goes on after a death asks DANA first, half a minute later."""
    world = World()
    world.due()
    if die == "after the call":
        world.start(world.calls[0])
        world.deliver(world.flights[0])
    world.crash()
    assert world.deadline == world.now + IN_HAND
    assert next_step(world.refund, linked=True, now=world.now) is Step.ASK
    world.finish()
    assert (world.dana, len(world.sends)) == ("paid", 1)


@pytest.mark.parametrize("arrives", ["before the question", "after the question", "never"])
def test_who_is_overtaken_has_no_say(arrives: str) -> None:
    """A call that takes so long that another worker asks and goes on changes nothing when it ends at last."""
    world = World()
    world.due()
    [slow] = world.calls
    world.start(slow)
    if arrives == "before the question":
        world.deliver(slow.flight)
    world.calls.remove(slow)
    world.play()
    if arrives == "after the question":
        world.deliver(slow.flight)
    world.calls.append(slow)
    slow.answer = Answer(Outcome.FAILED, "5003800")
    before = world.refund
    world.write_down(slow)
    assert world.refund == before
    world.finish()
    assert world.dana == "paid"


@pytest.mark.parametrize("code", ["4033805", "4033809", "4033818", "4043811"])
def test_codes_of_a_closed_wallet(code: str) -> None:
    """Refused, abnormal, inactive and unknown accounts are not tried again."""
    world = World()
    sending = sent(world.refund, world.now)
    after = answered(world.refund, sending, Answer(Outcome.FAILED, code))
    assert next_step(after, linked=True, now=world.now + MINUTE) is Step.CREDIT
