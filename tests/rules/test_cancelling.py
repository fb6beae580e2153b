"""The rules of cancelling: which account may cancel which order, and until when."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from contracts.orders import OrderCancelled, OrderCancelRejected, RequesterRole
from contracts.words import Channel, OrderStatus, PaymentMethod
from runtime.errors import WrongState
from runtime.http.problems import Problem
from services.orders.cancelling import cancelled_event, decide, expiry, refusal
from services.orders.domain import NOT_PAID, Cancellation, NotPaid, Step, check_move, check_payment, new_order
from tests.rules.orders_table import (
    ACTORS,
    BUYER,
    GRAPH,
    HOUR,
    PLACED,
    SELLER,
    STRANGER,
    TERMS,
    a_request,
    an_order,
    answer_to,
    cancelled,
    expected,
)

DAY = PLACED + 24 * HOUR


@pytest.mark.parametrize("channel", ["app", "web"])
@pytest.mark.parametrize(
    ("now", "answer"),
    [
        *((now, "granted") for now in (PLACED, DAY - timedelta(microseconds=1), DAY)),
        *((now, "window_closed") for now in (DAY + timedelta(microseconds=1), DAY + 365 * 24 * HOUR)),
    ],
)
def test_the_window_is_at_most_24_hours(channel: str, now: datetime, answer: str) -> None:
    """A buyer may cancel until the order is exactly 24 hours old, and not a microsecond longer."""
    order = an_order(OrderStatus.PACKED)
    assert answer_to(order, a_request(order, channel, "buyer", BUYER), now) == answer


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("role", list(RequesterRole))
@pytest.mark.parametrize("age", ["young", "old"])
def test_each_answer_is_that_of_the_table(channel: Channel, role: RequesterRole, age: str) -> None:
    """Every status, channel, role and age gets the answer of the flow's table; every other combination is refused."""
    now = PLACED + (HOUR if age == "young" else 25 * HOUR)
    for status in OrderStatus:
        order = an_order(status)
        request = a_request(order, channel, role, ACTORS[role])
        assert answer_to(order, request, now) == expected(channel, role, age, status), status


@pytest.mark.parametrize(("channel", "role"), [("app", "buyer"), ("web", "buyer"), ("chat", "seller")])
@pytest.mark.parametrize("who", [STRANGER, None])
def test_an_order_of_another_account_is_not_found(channel: str, role: str, who: None) -> None:
    """In every status, the order of another account is answered like one that does not exist."""
    for status in OrderStatus:
        order = an_order(status)
        assert answer_to(order, a_request(order, channel, role, who), PLACED) == "not_found"


def test_an_unknown_order_is_not_found() -> None:
    """Where there is no order, there is a refusal all the same, under the ids of the request."""
    request = a_request(an_order(), "chat", "seller", SELLER)
    answer = decide(None, request, PLACED)
    assert isinstance(answer, OrderCancelRejected)
    assert (answer.cancellation_id, answer.order_id) == (request.cancellation_id, request.order_id)
    assert answer_to(None, request, PLACED) == "not_found"


@pytest.mark.parametrize(
    ("channel", "role", "fault"),
    [("app", "buyer", "buyer"), ("web", "buyer", "buyer"), ("chat", "seller", "seller"), ("cs", "system", "seller")],
)
def test_the_fault_of_a_cancellation(channel: str, role: str, fault: str) -> None:
    """The fault of a cancellation is the canceller's; that of a silent seller is the seller's."""
    order = an_order()
    granted = decide(order, a_request(order, channel, role, ACTORS[role]), PLACED)
    assert isinstance(granted, Cancellation)
    assert granted.fault == fault


@pytest.mark.parametrize("paid", [0, 1, 999_999_999])
def test_a_cancellation_names_what_was_paid(paid: int) -> None:
    """A granted cancellation names exactly what was paid, and the order's buyer and seller."""
    order = replace(an_order(), paid_amount=paid)
    how = decide(order, a_request(order, "web", "buyer", BUYER), PLACED)
    assert isinstance(how, Cancellation)
    granted = cancelled_event(order, how)
    assert isinstance(granted, OrderCancelled)
    assert (granted.paid_amount, granted.buyer_id, granted.seller_id) == (paid, BUYER, SELLER)
    assert (granted.channel, granted.order_id) == (Channel.WEB, order.order_id)


@pytest.mark.parametrize(
    ("packed", "answer"),
    [
        *((at, "wrong_state") for at in (PLACED, PLACED + HOUR, DAY - timedelta(microseconds=1))),
        *((at, "granted") for at in (PLACED - HOUR, DAY)),
    ],
)
def test_an_order_that_was_packed_in_the_24_hours_of_customer_service_stays(packed: datetime, answer: str) -> None:
    """A: a seller who processed the order in time is not silent, also if customer service has not heard of it yet."""
    order = replace(an_order(OrderStatus.PACKED), history=(Step(OrderStatus.PACKED, packed),))
    request = a_request(order, "cs", "system", None)
    assert answer_to(order, request.model_copy(update={"respond_by": DAY}), DAY) == answer
    assert answer_to(order, request, DAY) == "granted"  # of an earlier version


def test_the_reason_shown_is_the_one_decided() -> None:
    """The reason shown beside an order is the code with which a request would be refused."""
    for status in OrderStatus:
        for now in (PLACED, DAY, DAY + timedelta(microseconds=1)):
            order = an_order(status)
            shown = refusal(order, Channel.APP, now)
            answer = answer_to(order, a_request(order, "app", "buyer", BUYER), now)
            assert (shown.code if shown else "granted") == answer


def test_statuses_follow_the_graph() -> None:
    """An order moves along the arrows of the flow, and along no others."""
    for status in OrderStatus:
        for to in OrderStatus:
            if to in GRAPH[status]:
                check_move(an_order(status), to)
            else:
                with pytest.raises(WrongState):
                    check_move(an_order(status), to)


@pytest.mark.parametrize(
    ("method", "status"),
    [(PaymentMethod.COD, "processing"), (PaymentMethod.DANA, "unpaid"), (PaymentMethod.BANK_TRANSFER, "unpaid")],
)
def test_a_new_order_waits_for_its_payment(method: PaymentMethod, status: str) -> None:
    """Cash on delivery is in process at once, the rest once it is paid; nothing is paid yet, and the total adds up."""
    lines = an_order().lines * 3
    order = new_order(an_order().order_id, BUYER, SELLER, lines, method, PLACED, TERMS)
    assert (order.status, order.paid_amount, order.total, order.version) == (status, 0, 300, 1)
    assert order.pay_by == (PLACED + HOUR if status == "unpaid" else None)


def test_an_order_is_paid_in_time_or_not_at_all() -> None:
    """M: until its time is over an unpaid order can be paid; then it cannot, cancelled already or not yet."""
    order = an_order(OrderStatus.UNPAID)
    for in_time in (PLACED, PLACED + HOUR - timedelta(microseconds=1)):
        check_payment(order, in_time)
    for late in (PLACED + HOUR, DAY):
        how = expiry(order, uuid4(), late)
        assert how is not None
        for one in (order, cancelled(order, how)):
            with pytest.raises(NotPaid) as refused:
                check_payment(one, late)
            assert (Problem.of(refused.value).status, refused.value.code) == (409, "not_paid")


def test_only_the_time_to_pay_ends_it() -> None:
    """An unpaid order that its seller has cancelled is not one whose time is over, also with that word as reason."""
    order = an_order(OrderStatus.UNPAID)
    request = a_request(order, "chat", "seller", SELLER).model_copy(update={"reason": NOT_PAID})
    how = decide(order, request, PLACED)
    assert isinstance(how, Cancellation)
    with pytest.raises(WrongState):
        check_payment(cancelled(order, how), PLACED)


def test_an_order_expires_if_it_is_unpaid() -> None:
    """Paid orders, cash on delivery and cancelled ones do not end by themselves."""
    for status in OrderStatus:
        assert (expiry(an_order(status), uuid4(), PLACED + 24 * HOUR) is None) == (status is not OrderStatus.UNPAID)
