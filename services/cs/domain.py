"""The rules of a case's life, and of who gets the next one. Pure: time and ids come in as arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts.cs import Outcome
from contracts.orders import RejectionCode
from contracts.words import OrderStatus
from runtime.errors import Forbidden, Refusal, WrongState

ANSWER_WITHIN = timedelta(hours=24)
"""A: the time that the seller has to answer customer service, or to process the order."""


class State(StrEnum):
    """Where a case stands. Without an agent, `waiting` and `seller_replied` stand in the queue."""

    WAITING = "waiting"
    ACTIVE = "active"
    AWAITING_SELLER = "awaiting_seller"
    SELLER_REPLIED = "seller_replied"
    CANCELLING = "cancelling"
    RESOLVED = "resolved"
    CLOSED = "closed"


OVER = frozenset({State.RESOLVED, State.CLOSED})
AT_HAND = frozenset({State.ACTIVE, State.SELLER_REPLIED})
"""The states in which a case takes up its agent's time, and counts for the limit."""
QUEUED = frozenset({State.WAITING, State.SELLER_REPLIED})

FOLLOWS: Mapping[State, frozenset[State]] = {
    State.WAITING: frozenset({State.ACTIVE}),
    State.ACTIVE: frozenset({State.WAITING, State.AWAITING_SELLER, State.CLOSED}),
    State.AWAITING_SELLER: frozenset({State.SELLER_REPLIED, State.CANCELLING, State.RESOLVED, State.CLOSED}),
    State.SELLER_REPLIED: frozenset({State.AWAITING_SELLER, State.CLOSED}),
    State.CANCELLING: frozenset({State.SELLER_REPLIED, State.WAITING, State.RESOLVED, State.CLOSED}),
    State.RESOLVED: frozenset(),
    State.CLOSED: frozenset(),
}
"""What may come after each state; every rule that changes it goes by this (`_become`)."""


class SellerDid(StrEnum):
    """What calls the automatic cancellation off (A: processing the order, or answering customer service)."""

    REPLIED = "seller_replied"
    PACKED = "order_packed"
    SHIPPED = "order_shipped"


class NotYourCase(Forbidden):
    """An agent may read every case, and act on those that are with that agent."""

    code, title = "not_your_case", "The case is not with you"


class AgentNotAvailable(Refusal):
    """Only an agent on duty who takes such cases alone can be asked for (M)."""

    code, title = "agent_not_available", "The agent cannot be asked for"


class CaseOver(Refusal):
    """The case has its outcome."""

    code, title = "case_over", "The case is over"


class NotOver(Refusal):
    """A case is rated when it is over."""

    code, title = "case_not_over", "The case is not over yet"


class RatedAlready(Refusal):
    """A case is rated once."""

    code, title = "already_rated", "The case has been rated already"


class NoOrder(Refusal):
    """The buyer has not handed over which order it is about."""

    code, title = "no_order", "The case has no order yet"


class AlreadyContacted(Refusal):
    """The seller is written to once for each case and order."""

    code, title = "already_contacted", "The seller has been contacted about this order"


class AlreadyShipped(Refusal):
    """A: an order that is on its way cannot be cancelled, so there are no 24 hours to start."""

    code, title = "already_shipped", "The order has shipped already"


class AlreadyCancelled(Refusal):
    """There is nothing left to ask the seller for."""

    code, title = "already_cancelled", "The order is cancelled already"


class NotCancelled(Refusal):
    """Only an order that is cancelled can be the outcome `order_cancelled`."""

    code, title = "order_not_cancelled", "The order is not cancelled"


@dataclass(frozen=True)
class Case:
    """One conversation between a buyer and customer service.

    `arrived` counts the cases in the order in which they came; it is what the queue goes by, also when a case comes
    back to it. `returns_to` is the agent who knows the case and should get it again. All that comes of the case is one
    story: that of `correlation_id` and `traceparent`.
    """

    case_id: UUID
    arrived: int
    buyer_id: UUID
    correlation_id: UUID
    traceparent: str
    state: State = State.WAITING
    agent_id: UUID | None = None
    returns_to: UUID | None = None
    order_id: UUID | None = None
    contacted: tuple[UUID, ...] = ()
    respond_by: datetime | None = None
    cancellation_id: UUID | None = None
    outcome: Outcome | None = None
    rating: int | None = None

    @property
    def is_queued(self) -> bool:
        """Whether the case waits for an agent."""
        return self.agent_id is None and self.state in QUEUED


def _become(case: Case, state: State, **changes: Any) -> Case:
    if state is not case.state and state not in FOLLOWS[case.state]:
        raise WrongState(f"The case is {case.state}, so it cannot become {state}.")
    return replace(case, state=state, **changes)


def check_agent(case: Case, agent_id: UUID) -> None:
    """Raises `CaseOver`, or `NotYourCase` if the case is with somebody else or with nobody."""
    if case.agent_id != agent_id:
        raise NotYourCase("You can read it; only its agent can act on it.")
    check_open(case)


def check_open(case: Case) -> None:
    """Raises `CaseOver`."""
    if case.state in OVER:
        raise CaseOver(f"It ended with the outcome {case.outcome}.")


def give(case: Case, agent_id: UUID) -> Case:
    """The case leaves the queue for an agent. Raises `WrongState`."""
    if not case.is_queued:
        raise WrongState(f"The case is {case.state} and does not wait for an agent.")
    state = State.ACTIVE if case.state is State.WAITING else case.state
    return _become(case, state, agent_id=agent_id, returns_to=None)


def take_away(case: Case) -> Case:
    """Its agent is not there any more: back to the queue, to whoever is free (M). Raises `WrongState`."""
    if case.agent_id is None or case.state not in AT_HAND:
        raise WrongState(f"The case is {case.state}.")
    return _become(case, State.WAITING if case.state is State.ACTIVE else case.state, agent_id=None)


def hand_over(case: Case, order_id: UUID) -> Case:
    """The buyer says which order it is about (A). Raises `CaseOver` or `WrongState`."""
    check_open(case)
    if case.order_id == order_id:
        return case
    if case.state in (State.AWAITING_SELLER, State.CANCELLING):
        raise WrongState("The seller has been asked about another order; wait for what comes of it.")
    return replace(case, order_id=order_id)


def contact(case: Case, agent_id: UUID, status: OrderStatus | None, respond_by: datetime) -> Case:
    """The agent writes to the seller, who has until `respond_by` (A: 24 hours from now).

    Raises `NotYourCase`, `CaseOver`, `NoOrder`, `AlreadyContacted`, `AlreadyShipped`, `AlreadyCancelled`, `WrongState`.
    """
    check_agent(case, agent_id)
    if case.order_id is None or status is None:
        raise NoOrder("Ask the buyer to hand over the order first.")
    if case.order_id in case.contacted:
        raise AlreadyContacted
    if case.state not in AT_HAND:
        raise WrongState(f"The case is {case.state}.")
    if status in (OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        raise AlreadyShipped("An order that is on its way cannot be cancelled.")
    if status is OrderStatus.CANCELLED:
        raise AlreadyCancelled
    return _become(case, State.AWAITING_SELLER, contacted=(*case.contacted, case.order_id), respond_by=respond_by)


def seller_is_due(case: Case, now: datetime) -> bool:
    """Whether the seller still has time to answer, so that the question is worth saying again."""
    return case.state is State.AWAITING_SELLER and case.respond_by is not None and now < case.respond_by


def seller_acted(case: Case, order_id: UUID, at: datetime) -> Case | None:
    """The seller has answered or processed the order at `at`: nothing is cancelled (A), the case goes back to its
    agent. None if that is too late, or there is nothing to call off.

    The time of the deed counts, not when it is heard of: a deed in time counts also while the case is `cancelling`, as
    long as the cancellation has not been asked for.
    """
    due = case.state is State.AWAITING_SELLER or (case.state is State.CANCELLING and case.cancellation_id is None)
    if not due or case.order_id != order_id or case.respond_by is None or at >= case.respond_by:
        return None
    return _returned(case, State.SELLER_REPLIED)


def written_to_before(case: Case, at: datetime) -> bool:
    """Whether customer service had written to the seller by `at`. What the seller did earlier, and is heard of late, is
    no answer (M)."""
    return case.respond_by is not None and case.respond_by - ANSWER_WITHIN <= at


def _returned(case: Case, state: State) -> Case:
    return _become(case, state, agent_id=None, returns_to=case.agent_id)


def run_out(case: Case) -> Case | None:
    """The 24 hours are over. None if the case no longer waits for the seller."""
    return _become(case, State.CANCELLING) if case.state is State.AWAITING_SELLER else None


def request_cancellation(case: Case, cancellation_id: UUID) -> Case | None:
    """`orders` is asked to cancel. None if that was done, or there is no reason any more."""
    if case.state is not State.CANCELLING or case.cancellation_id is not None:
        return None
    return replace(case, cancellation_id=cancellation_id)


def order_cancelled(case: Case) -> Case | None:
    """The order is cancelled, by whomever: a case that waited for its seller is resolved. None for any other."""
    if case.state not in (State.AWAITING_SELLER, State.CANCELLING):
        return None
    return _become(case, State.RESOLVED, outcome=Outcome.ORDER_CANCELLED)


def rejected(case: Case, cancellation_id: UUID, code: RejectionCode | str) -> Case | None:
    """`orders` does not cancel the order, so the case goes back to its agent. None if it was not this case's request,
    or has been answered already.

    An order that is cancelled already is what was wanted. A case that is over stays so.
    """
    if case.cancellation_id is None or case.cancellation_id != cancellation_id:
        return None
    answered = replace(case, cancellation_id=None)
    if case.state is not State.CANCELLING:
        return answered
    if code is RejectionCode.ALREADY_CANCELLED:
        return order_cancelled(answered)
    return _returned(answered, State.SELLER_REPLIED if code is RejectionCode.ALREADY_SHIPPED else State.WAITING)


def close(case: Case, agent_id: UUID, outcome: Outcome, status: OrderStatus | None) -> Case:
    """The agent ends the case, also one that waits for an answer: of the seller, whom nobody asks any more then, or of
    `orders`, which may cancel the order all the same. Ending it again with the same outcome is harmless.

    Raises `NotYourCase`, `CaseOver`, `NotCancelled`.
    """
    if case.agent_id == agent_id and case.state is State.CLOSED and case.outcome is outcome:
        return case
    check_agent(case, agent_id)
    if outcome is Outcome.ORDER_CANCELLED and status is not OrderStatus.CANCELLED:
        raise NotCancelled
    return _become(case, State.CLOSED, outcome=outcome)


def rate(case: Case, rating: int) -> Case:
    """The buyer says how it was, 1 to 5, once (M). Raises `NotOver` or `RatedAlready`."""
    if case.state not in OVER:
        raise NotOver
    if case.rating not in (None, rating):
        raise RatedAlready(f"You gave it {case.rating}.")
    return replace(case, rating=rating)


@dataclass(frozen=True)
class Desk:
    """An agent on duty, with the number of cases at hand; `turn` says who got a case last, the lowest is next."""

    agent_id: UUID
    load: int
    turn: int


@dataclass(frozen=True)
class InLine:
    """A case that waits for an agent."""

    case_id: UUID
    returns_to: UUID | None = None


def route(line: Sequence[InLine], desks: Sequence[Desk], max_cases: int) -> list[tuple[UUID, UUID]]:
    """Who gets which case: pairs of case and agent. `line` is in the order of arrival.

    The first in line get what room there is, at most `max_cases` for each agent; a case that comes back goes to the
    agent who knows it if there is room, any other to the agent with the fewest.
    """
    loads = {desk.agent_id: desk.load for desk in desks}
    turns = {desk.agent_id: desk.turn for desk in desks}
    served = line[: sum(max(0, max_cases - load) for load in loads.values())]
    given: dict[UUID, UUID] = {}

    def put(case: InLine, agent_id: UUID) -> None:
        given[case.case_id] = agent_id
        loads[agent_id] += 1
        turns[agent_id] = max(turns.values()) + 1

    for case in served:
        if case.returns_to in loads and loads[case.returns_to] < max_cases:
            put(case, case.returns_to)
    for case in served:
        if case.case_id not in given:
            put(case, min(loads, key=lambda agent_id: (loads[agent_id], turns[agent_id])))
    return [(case.case_id, given[case.case_id]) for case in served]
