"""An order's life, lived by hypothesis."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.orders import OrderCancelled, OrderCancelRequested
from runtime.problems import WrongState
from services.orders.domain import Order, Status, check_move, decide
from tests.rules.orders_table import (
    BUYER,
    GRAPH,
    PEOPLE,
    PLACED,
    STRANGER,
    a_request,
    an_order,
    cancelled,
    expected,
)

TIMES = st.sampled_from([timedelta(seconds=1), timedelta(hours=8), timedelta(hours=24)])


class OrderLife(RuleBasedStateMachine):
    """Time passes, people do what they like with one order, and requests come twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = PLACED
        self.order: Order = an_order(Status.UNPAID)
        self.history = [Status.UNPAID]
        self.granted: list[UUID] = []
        self.requests: list[OrderCancelRequested] = []

    @rule(by=TIMES)
    def time_passes(self, by: timedelta) -> None:
        self.now += by

    @rule(to=st.sampled_from([status for status in Status if status is not Status.CANCELLED]))
    def somebody_moves_it(self, to: Status) -> None:
        try:
            check_move(self.order, to)
        except WrongState:
            return
        paid = self.order.total if to is Status.PROCESSING else self.order.paid_amount
        self.order = replace(self.order, status=to, paid_amount=paid, version=self.order.version + 1)
        self.history.append(to)

    @rule(
        channel=st.sampled_from(["app", "web", "chat", "cs"]),
        role=st.sampled_from(sorted(PEOPLE)),
        stranger=st.sampled_from([False, False, False, True]),
    )
    def somebody_asks(self, channel: str, role: str, stranger: bool) -> None:
        who = STRANGER if stranger and role in ("buyer", "seller") else PEOPLE[role]
        request = a_request(self.order, channel, role, who)
        self.requests.append(request)
        age = "young" if self.now - PLACED <= timedelta(hours=24) else "old"
        should = "not_found" if who == STRANGER else expected(channel, role, age, self.order.status)
        self.decide(request, should)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def a_request_comes_again(self, data: Any) -> None:
        request = data.draw(st.sampled_from(self.requests))
        if request.cancellation_id in self.granted:
            self.decide(request, "silence")

    def decide(self, request: OrderCancelRequested, should: str) -> None:
        answer = decide(self.order, request, self.now)
        assert answer == decide(self.order, request, self.now)
        if isinstance(answer, OrderCancelled):
            assert should == "granted"
            assert answer.paid_amount == self.order.paid_amount
            self.order = cancelled(self.order, request, answer, self.now)
            self.granted.append(answer.cancellation_id)
            self.history.append(Status.CANCELLED)
        else:
            assert (answer.code if answer else "silence") == should

    @invariant()
    def the_history_is_a_path(self) -> None:
        for one, next_one in zip(self.history, self.history[1:], strict=False):
            assert next_one in GRAPH[one]
        assert len(self.history) == self.order.version

    @invariant()
    def it_ends_once(self) -> None:
        assert len(self.granted) == self.history.count(Status.CANCELLED) <= 1
        assert not {Status.CANCELLED, Status.SHIPPED} <= set(self.history)
        assert (self.order.cancellation is not None) == (self.order.status is Status.CANCELLED)

    @invariant()
    def the_people_stay(self) -> None:
        assert self.order.buyer_id == BUYER


TestOrderLife = OrderLife.TestCase
TestOrderLife.__doc__ = """Whatever happens to an order: its history is a path in the graph, it is cancelled once."""
TestOrderLife.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
