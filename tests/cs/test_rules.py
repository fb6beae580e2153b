"""The rules of a case, explored by hypothesis, and which agent gets which case."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from contracts.cs import Outcome
from contracts.orders import RejectionCode
from contracts.words import OrderStatus
from runtime.errors import WrongState
from services.cs import domain
from services.cs.domain import OVER, TRANSITIONS, Case, Desk, State, route

OPENED = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
DAY = timedelta(hours=24)
BUYER, AGENT, COLLEAGUE, ORDER, OTHER_ORDER = (UUID(int=number) for number in range(1, 6))
AGENTS = st.sampled_from([AGENT, AGENT, COLLEAGUE])
ORDERS = st.sampled_from([ORDER, ORDER, OTHER_ORDER])

REFUSALS = (
    *(domain.NotYourCase, domain.CaseOver, domain.NotOver, domain.RatedAlready, domain.NoOrder, domain.NotCancelled),
    *(domain.AlreadyContacted, domain.AlreadyShipped, domain.AlreadyCancelled, WrongState),
)
GRAPH = {
    "waiting": {"active"},
    "active": {"waiting", "awaiting_seller", "closed"},
    "awaiting_seller": {"seller_replied", "cancelling", "resolved", "closed"},
    "seller_replied": {"awaiting_seller", "closed"},
    "cancelling": {"seller_replied", "waiting", "resolved", "closed"},
    "resolved": set(),
    "closed": set(),
}
"""Which state may follow which, written from the flow and not from the code."""


def a_case(state: State = State.WAITING, agent_id: UUID | None = None) -> Case:
    """A case of BUYER."""
    return Case(UUID(int=9), 1, BUYER, UUID(int=8), f"00-{'a' * 32}-{'b' * 16}-01", state, agent_id)


class CaseLife(RuleBasedStateMachine):
    """Any step at any time, on one case."""

    def __init__(self) -> None:
        super().__init__()
        self.now = OPENED
        self.case = a_case()
        self.history = [State.WAITING]
        self.status = OrderStatus.PROCESSING
        self.requests: list[UUID] = []

    def become(self, case: Case | None) -> None:
        """Records the result of a step."""
        if case is not None and case.state != self.case.state:
            self.history.append(case.state)
        self.case = case or self.case

    @rule(by=st.sampled_from([timedelta(seconds=1), timedelta(hours=8), DAY]))
    def time_passes(self, by: timedelta) -> None:
        self.now += by

    @rule(agent=AGENTS)
    def an_agent_gets_it(self, agent: UUID) -> None:
        self.attempt(lambda: domain.give(self.case, agent))

    @rule()
    def its_agent_leaves(self) -> None:
        self.attempt(lambda: domain.take_away(self.case))

    @rule(order=ORDERS)
    def the_buyer_hands_over(self, order: UUID) -> None:
        self.attempt(lambda: domain.hand_over(self.case, order))

    @rule(agent=AGENTS)
    def the_seller_is_contacted(self, agent: UUID) -> None:
        before = self.case
        self.attempt(lambda: domain.contact(self.case, agent, self.status, self.now + DAY))
        if self.case is not before:
            assert before.agent_id == agent
            assert before.order_id not in before.contacted

    @rule(order=ORDERS, late=st.booleans())
    def the_seller_does_something(self, order: UUID, late: bool) -> None:
        before = self.case
        at = self.now if late or before.respond_by is None else min(self.now, before.respond_by - timedelta(seconds=1))
        self.become(domain.seller_acted(before, order, at))
        if self.case is not before:
            assert before.respond_by is not None
            assert at < before.respond_by
            assert before.cancellation_id is None
            assert self.case.returns_to == before.agent_id

    @rule()
    def the_time_runs_out(self) -> None:
        if self.case.respond_by is not None and self.now >= self.case.respond_by:
            self.become(domain.run_out(self.case))

    @rule()
    def the_cancellation_is_requested(self) -> None:
        cancellation_id = UUID(int=100 + len(self.requests))
        asking = domain.request_cancellation(self.case, cancellation_id)
        if asking is not None:
            assert asking.respond_by is not None
            assert self.now >= asking.respond_by, "never early"
            self.requests.append(cancellation_id)
        self.become(asking)

    @rule()
    def the_order_is_cancelled(self) -> None:
        self.status = OrderStatus.CANCELLED
        self.become(domain.order_cancelled(self.case))

    @rule(code=st.sampled_from(RejectionCode), mine=st.booleans())
    def the_cancellation_is_rejected(self, code: RejectionCode, mine: bool) -> None:
        request = self.requests[-1] if self.requests and mine else UUID(int=99)
        self.become(domain.rejected(self.case, request, code))

    @rule(agent=AGENTS, outcome=st.sampled_from(Outcome))
    def the_agent_closes(self, agent: UUID, outcome: Outcome) -> None:
        self.attempt(lambda: domain.close(self.case, agent, outcome, self.status))

    @rule(rating=st.integers(1, 5))
    def the_buyer_rates(self, rating: int) -> None:
        before = self.case
        self.attempt(lambda: domain.rate(self.case, rating))
        if self.case.rating != before.rating:
            assert before.rating is None
            assert before.state in OVER

    def attempt(self, do: Callable[[], Case]) -> None:
        """A step that may be refused."""
        with suppress(*REFUSALS):
            self.become(do())

    @invariant()
    def it_follows_the_graph(self) -> None:
        for before, after in zip(self.history, self.history[1:], strict=False):
            assert after.value in GRAPH[before.value]

    @invariant()
    def its_fields_agree_with_its_state(self) -> None:
        case = self.case
        assert (case.outcome is not None) == (case.state in OVER)
        assert case.agent_id is not None or case.state is not State.ACTIVE
        assert case.agent_id is None or case.state is not State.WAITING
        assert case.cancellation_id is None or case.state in (State.CANCELLING, State.RESOLVED, State.CLOSED)


TestCaseLife = CaseLife.TestCase
TestCaseLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_the_table_of_states_is_that_of_the_flow() -> None:
    """The table that production executes has the transitions that are written here from the flow, and no other."""
    follows: dict[str, set[str]] = {str(state): set() for state in State}
    for moves in TRANSITIONS.values():
        for before, after in moves.items():
            follows[before] |= {str(after)} - {str(before)}
    assert follows == GRAPH


@pytest.mark.parametrize(("seconds", "saves"), [(-1, True), (-0.000001, True), (0, False), (1, False)])
@pytest.mark.parametrize("state", [State.AWAITING_SELLER, State.CANCELLING])
def test_a_deed_of_the_seller_counts_until_the_last_moment(state: State, seconds: float, saves: bool) -> None:
    """A deed at 23:59:59 counts, also if its event arrives later; at 24:00:00 it is too late (A)."""
    case = replace(a_case(state, AGENT), order_id=ORDER, respond_by=OPENED + DAY)
    returned = domain.seller_acted(case, ORDER, OPENED + DAY + timedelta(seconds=seconds))
    assert (returned is not None) == saves


def test_a_deed_cannot_call_off_a_requested_cancellation() -> None:
    """A deed calls nothing off once `orders` has been asked to cancel."""
    case = replace(
        a_case(State.CANCELLING, AGENT), order_id=ORDER, respond_by=OPENED + DAY, cancellation_id=UUID(int=7)
    )
    assert domain.seller_acted(case, ORDER, OPENED) is None


LINES = st.lists(st.sampled_from([None, *range(4)]), max_size=12)
LOADS = st.dictionaries(st.integers(0, 5), st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=5)


@settings(max_examples=60, deadline=None)
@given(line=LINES, loads=LOADS, max_cases=st.integers(1, 4))
def test_the_first_in_line_get_what_room_there_is(
    line: list[int | None], loads: dict[int, tuple[int, int]], max_cases: int
) -> None:
    """Cases are given by arrival to as many as there is room for, no agent over the limit, evenly among agents."""
    waiting = [
        replace(a_case(), case_id=UUID(int=100 + n), returns_to=None if back is None else UUID(int=back))
        for n, back in enumerate(line)
    ]
    desks = [Desk(UUID(int=agent), load, turn) for agent, (load, turn) in loads.items()]
    plan = route(waiting, desks, max_cases)
    room = sum(max(0, max_cases - desk.load) for desk in desks)
    assert [case for case, _ in plan] == waiting[:room]
    got = Counter(agent for _, agent in plan)
    assert all(desk.load + got[desk.agent_id] <= max_cases for desk in desks if got[desk.agent_id])
    if all(back is None for back in line):
        after = [desk.load + got[desk.agent_id] for desk in desks]
        assert all(load <= min(after) + 1 for desk, load in zip(desks, after, strict=True) if got[desk.agent_id])


@given(max_cases=st.integers(1, 3), loads=st.lists(st.integers(0, 2), min_size=1, max_size=4))
def test_a_case_goes_back_to_the_agent_who_knows_it(max_cases: int, loads: list[int]) -> None:
    """A case that returns goes to its agent if there is room, otherwise to one who has."""
    desks = [Desk(UUID(int=n), load, 0) for n, load in enumerate(loads)]
    case = replace(a_case(), returns_to=UUID(int=0))
    plan = route([case], desks, max_cases)
    if loads[0] < max_cases:
        assert plan == [(case, UUID(int=0))]
    else:
        assert len(plan) == (min(loads) < max_cases)
