"""An order's life, lived by hypothesis."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.orders import OrderCancelRejected, OrderCancelRequested
from contracts.words import OrderStatus
from runtime.errors import WrongState
from services.orders import cancelling, domain
from tests.rules.orders_table import (
    ACTORS,
    BUYER,
    GRAPH,
    HOUR,
    PLACED,
    STRANGER,
    a_request,
    an_order,
    cancelled,
    expected,
)

TIMES = st.sampled_from([timedelta(seconds=1), timedelta(hours=8), timedelta(hours=24)])


class OrderLife(RuleBasedStateMachine):
    """Time passes, accounts do anything with one order, and requests come twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = PLACED
        self.order: domain.Order = an_order(OrderStatus.UNPAID)
        self.history = [OrderStatus.UNPAID]
        self.answers: dict[UUID, domain.Cancellation] = {}
        self.requests: list[OrderCancelRequested] = []

    @rule(by=TIMES)
    def time_passes(self, by: timedelta) -> None:
        self.now += by

    @rule(to=st.sampled_from([status for status in OrderStatus if status is not OrderStatus.CANCELLED]))
    def it_is_moved(self, to: OrderStatus) -> None:
        try:
            domain.check_move(self.order, to)
        except WrongState:
            return
        if to is OrderStatus.PROCESSING:
            late = self.now - PLACED >= HOUR
            try:
                domain.check_payment(self.order, self.now)
            except domain.NotPaid:
                assert late
                return
            assert not late
        paid = self.order.total if to is OrderStatus.PROCESSING else self.order.paid_amount
        self.order = replace(self.order, status=to, paid_amount=paid, pay_by=None, version=self.order.version + 1)
        self.history.append(to)

    @rule(
        channel=st.sampled_from(["app", "web", "chat", "cs"]),
        role=st.sampled_from(sorted(ACTORS)),
        stranger=st.sampled_from([False, False, False, True]),
    )
    def a_cancellation_is_requested(self, channel: str, role: str, stranger: bool) -> None:
        who = STRANGER if stranger and role in ("buyer", "seller") else ACTORS[role]
        request = a_request(self.order, channel, role, who)
        self.requests.append(request)
        age = "young" if self.now - PLACED <= timedelta(hours=24) else "old"
        should = "not_found" if who == STRANGER else expected(channel, role, age, self.order.status)
        self.decide(request, should)

    @precondition(lambda self: self.now - PLACED >= HOUR)
    @rule()
    def the_time_for_paying_is_over(self) -> None:
        how = cancelling.expiry(self.order, uuid4(), self.now)
        assert (how is None) == (self.order.status is not OrderStatus.UNPAID)
        if how is not None:
            assert (how.channel, how.role, how.requested_by) == ("system", "system", None)
            assert (how.reason, how.fault, how.at) == ("not_paid", "none", self.now)
            assert (how.refund_amount, how.ended) == (0, True)
            self.end(how)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), channel=st.sampled_from(["app", "chat", "cs", "system"]))
    def a_request_comes_again(self, data: Any, channel: str) -> None:
        request = data.draw(st.sampled_from(self.requests))
        answer = cancelling.decide(self.order, request, self.now)
        if before := self.answers.get(request.cancellation_id):
            assert answer == before
            changed = request.model_copy(update={"channel": channel})
            assert cancelling.decide(self.order, changed, self.now) == before
        else:
            assert isinstance(answer, OrderCancelRejected)

    def decide(self, request: OrderCancelRequested, should: str) -> None:
        answer = cancelling.decide(self.order, request, self.now)
        assert answer == cancelling.decide(self.order, request, self.now)
        if isinstance(answer, OrderCancelRejected):
            assert answer.code == should
        else:
            assert should == "granted"
            assert (answer.refund_amount, answer.ended) == (self.order.paid_amount, True)
            self.end(answer)

    def end(self, how: domain.Cancellation) -> None:
        self.order = cancelled(self.order, how)
        self.answers[how.cancellation_id] = how
        self.history.append(OrderStatus.CANCELLED)

    @invariant()
    def the_history_is_a_path(self) -> None:
        for one, next_one in zip(self.history, self.history[1:], strict=False):
            assert next_one in GRAPH[one]
        assert len(self.history) == self.order.version

    @invariant()
    def it_ends_once(self) -> None:
        assert len(self.answers) == self.history.count(OrderStatus.CANCELLED) <= 1
        assert not {OrderStatus.CANCELLED, OrderStatus.SHIPPED} <= set(self.history)
        assert (self.order.cancellation is not None) == (self.order.status is OrderStatus.CANCELLED)

    @invariant()
    def the_buyer_stays(self) -> None:
        assert self.order.buyer_id == BUYER


TestOrderLife = OrderLife.TestCase
TestOrderLife.__doc__ = """Every history of an order is a path in the graph, and an order is cancelled at most once."""
TestOrderLife.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
