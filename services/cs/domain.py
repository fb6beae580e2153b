"""The rules of a case, and which agent gets it. Pure: time and ids come in as arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts.cs import ANSWER_WITHIN, Outcome
from contracts.orders import RejectionCode
from contracts.words import OrderStatus
from runtime.errors import Forbidden, Refusal, WrongState


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

TRANSITIONS: Mapping[str, Mapping[State, State]] = {
    "given": {State.WAITING: State.ACTIVE, State.SELLER_REPLIED: State.SELLER_REPLIED},
    "taken_away": {State.ACTIVE: State.WAITING, State.SELLER_REPLIED: State.SELLER_REPLIED},
    "seller_contacted": {State.ACTIVE: State.AWAITING_SELLER, State.SELLER_REPLIED: State.AWAITING_SELLER},
    "seller_acted": {State.AWAITING_SELLER: State.SELLER_REPLIED, State.CANCELLING: State.SELLER_REPLIED},
    "time_over": {State.AWAITING_SELLER: State.CANCELLING},
    "cancellation_requested": {State.CANCELLING: State.CANCELLING},
    "order_cancelled": {State.AWAITING_SELLER: State.RESOLVED, State.CANCELLING: State.RESOLVED},
    "rejected_for_a_deed": {State.CANCELLING: State.SELLER_REPLIED},
    "rejected": {State.CANCELLING: State.WAITING},
    "closed": dict.fromkeys(set(State) - OVER - {State.WAITING}, State.CLOSED),
}
"""What may happen to a case: from which state to which. Rules change the state through `_move` alone, which executes
this table."""


class SellerDid(StrEnum):
    """What calls the automatic cancellation off (A: processing the order, or answering customer service)."""

    REPLIED = "seller_replied"
    PACKED = "order_packed"
    SHIPPED = "order_shipped"


class NotYourCase(Forbidden):
    """An agent may read every case, and act on those that are with that agent."""

    code, title = "not_your_case", "The case is not with you"


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
    """The buyer has not named the order."""

    code, title = "no_order", "The case has no order yet"


class AlreadyContacted(Refusal):
    """The seller is contacted once for each case and order."""

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

    `arrived` numbers the cases by arrival and orders the queue, also for a case that returns to it. `returns_to` is the
    agent who knows the case and should get it again. All that follows from the case is one trace: `correlation_id` and
    `traceparent`.
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
    outcome: Outcome | str | None = None
    rating: int | None = None

    @property
    def members(self) -> list[UUID]:
        """The accounts that see the case live: its buyer, and the agent who has it or gets it back."""
        return [one for one in (self.buyer_id, self.agent_id or self.returns_to) if one]

    @property
    def is_queued(self) -> bool:
        """Whether the case waits for an agent."""
        return self.agent_id is None and self.state in TRANSITIONS["given"]


def _move(case: Case, transition: str, **changes: Any) -> Case:
    if moved := _move_if(case, transition, **changes):
        return moved
    raise WrongState(f"The case is {case.state}.")


def _move_if(case: Case, transition: str, **changes: Any) -> Case | None:
    state = TRANSITIONS[transition].get(case.state)
    return replace(case, state=state, **changes) if state else None


def check_agent(case: Case, agent_id: UUID) -> None:
    """Raises `CaseOver`, or `NotYourCase` if the case is not with this agent."""
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
    return _move(case, "given", agent_id=agent_id, returns_to=None)


def take_away(case: Case) -> Case:
    """Its agent is off duty: the case returns to the queue, for any agent (M). Raises `WrongState`."""
    return _move(case, "taken_away", agent_id=None)


def hand_over(case: Case, order_id: UUID) -> Case:
    """The buyer names the order that the case is about (A). Raises `CaseOver` or `WrongState`."""
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
    if status in (OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        raise AlreadyShipped("An order that is on its way cannot be cancelled.")
    if status is OrderStatus.CANCELLED:
        raise AlreadyCancelled
    return _move(case, "seller_contacted", contacted=(*case.contacted, case.order_id), respond_by=respond_by)


def contacted_before(case: Case, at: datetime) -> bool:
    """Whether customer service had contacted the seller by `at`. A deed from before that is no answer, even if its
    event arrives later (M)."""
    return case.respond_by is not None and case.respond_by - ANSWER_WITHIN <= at


def seller_acted(case: Case, order_id: UUID, at: datetime) -> Case | None:
    """The seller has answered or processed the order at `at`, in time: nothing is cancelled (A), and the case returns
    to its agent. A deed in time counts also if its event arrives late, until the cancellation has been requested. None
    if the deed is too late, or there is nothing to call off."""
    if case.respond_by is None or at >= case.respond_by or case.order_id != order_id or case.cancellation_id:
        return None
    return _move_if(case, "seller_acted", agent_id=None, returns_to=case.agent_id)


def run_out(case: Case) -> Case | None:
    """The 24 hours are over. None if the case no longer waits for the seller."""
    return _move_if(case, "time_over")


def request_cancellation(case: Case, cancellation_id: UUID) -> Case | None:
    """`orders` is asked to cancel. None if that was done, or there is no reason any more."""
    return None if case.cancellation_id else _move_if(case, "cancellation_requested", cancellation_id=cancellation_id)


def order_cancelled(case: Case) -> Case | None:
    """The order is cancelled, through any channel: a case that waited for its seller is resolved. None for others."""
    return _move_if(case, "order_cancelled", outcome=Outcome.ORDER_CANCELLED)


def rejected(case: Case, cancellation_id: UUID, code: RejectionCode | str) -> Case | None:
    """`orders` does not cancel the order: the case returns to its agent, or is resolved if the order is cancelled
    already; a case that is over stays so. None if the request was not this case's, or has been answered."""
    if case.cancellation_id is None or case.cancellation_id != cancellation_id:
        return None
    answered = replace(case, cancellation_id=None)
    if code is RejectionCode.ALREADY_CANCELLED:
        return order_cancelled(answered) or answered
    has_acted = code in (RejectionCode.ALREADY_SHIPPED, RejectionCode.WRONG_STATE)
    transition = "rejected_for_a_deed" if has_acted else "rejected"
    return _move_if(answered, transition, agent_id=None, returns_to=case.agent_id) or answered


def close(case: Case, agent_id: UUID, outcome: Outcome, status: OrderStatus | None) -> Case:
    """The agent ends the case, also while it waits for the seller, who is not asked again, or for `orders`, which may
    cancel the order all the same. The same end again is harmless. Raises `NotYourCase`, `CaseOver`, `NotCancelled`."""
    if case.agent_id == agent_id and case.state is State.CLOSED and case.outcome is outcome:
        return case
    check_agent(case, agent_id)
    if outcome is Outcome.ORDER_CANCELLED and status is not OrderStatus.CANCELLED:
        raise NotCancelled
    return _move(case, "closed", outcome=outcome)


def rate(case: Case, rating: int) -> Case:
    """The buyer rates the case, 1 to 5, once (M). Raises `NotOver` or `RatedAlready`."""
    if case.state not in OVER:
        raise NotOver
    if case.rating not in (None, rating):
        raise RatedAlready(f"You gave it {case.rating}.")
    return replace(case, rating=rating)


@dataclass(frozen=True)
class Desk:
    """An agent on duty with `load` cases at hand; of equals the lowest `turn` is next."""

    agent_id: UUID
    load: int
    turn: int


def route(line: Sequence[Case], desks: Sequence[Desk], max_cases: int) -> list[tuple[Case, UUID]]:
    """Which agent gets which case: pairs of case and agent. The first in `line`, by arrival, get what room there is, at
    most `max_cases` for each agent; a case that returns goes to the agent who knows it if there is room, any other to
    the agent with the fewest."""
    loads = {desk.agent_id: desk.load for desk in desks}
    turns = {desk.agent_id: desk.turn for desk in desks}
    served = line[: sum(max(0, max_cases - load) for load in loads.values())]
    given: dict[UUID, UUID] = {}

    def put(case: Case, agent_id: UUID) -> None:
        given[case.case_id] = agent_id
        loads[agent_id] += 1
        turns[agent_id] = max(turns.values()) + 1

    for case in served:
        if case.returns_to in loads and loads[case.returns_to] < max_cases:
            put(case, case.returns_to)
    for case in served:
        if case.case_id not in given:
            put(case, min(loads, key=lambda agent_id: (loads[agent_id], turns[agent_id])))
    return [(case, given[case.case_id]) for case in served]
