"""What is paid and what comes back, to the rupiah; compared with a model that deals with each piece alone."""

from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.orders import OrderCancelRejected, OrderLine, Pieces
from contracts.words import OrderStatus, PaymentMethod
from services.orders import pricing
from services.orders.cancelling import decide
from services.orders.domain import Cancellation, Order, Terms, moved, new_order
from services.orders.pricing import Voucher
from tests.harness.piece_prices import piece_prices
from tests.rules.orders_table import BUYER, HOUR, PLACED, SELLER, a_request

LINES = st.lists(
    st.tuples(st.integers(1, 7), st.integers(1, 9) | st.integers(1, 10**8)).map(
        lambda line: OrderLine(product_id=uuid4(), title="Kopi", quantity=line[0], unit_price=line[1])
    ),
    min_size=1,
    max_size=4,
).map(tuple)
VOUCHERS = (
    st.none()
    | st.integers(1, 50).map(lambda amount: Voucher("A", 0, amount=amount))
    | st.integers(1, 10**8).map(lambda amount: Voucher("A", 0, amount=amount))
    | st.builds(
        lambda percent, cap: Voucher("P", 0, percent=percent, cap=cap), st.integers(1, 100), st.integers(1, 10**8)
    )
)


def asked_for(order: Order, *pieces: tuple[UUID, int]) -> Cancellation | OrderCancelRejected:
    """The answer to the buyer who cancels these pieces."""
    wanted = [Pieces(product_id=product_id, quantity=quantity) for product_id, quantity in pieces]
    return decide(order, a_request(order, "app", "buyer", BUYER).model_copy(update={"lines": tuple(wanted)}), PLACED)


def after(order: Order, how: Cancellation) -> Order:
    """The order once the cancellation is written down."""
    made = (*order.cancellations, how)
    if how.ended:
        return replace(moved(order, OrderStatus.CANCELLED, PLACED), cancellations=made)
    return replace(order, lines=pricing.without(order.lines, how.lines), cancellations=made)


def an_order(lines: tuple[OrderLine, ...], voucher: Voucher | None = None, fee: int = 0, cash: bool = False) -> Order:
    """An order as it is paid, or cash on delivery."""
    method = PaymentMethod.COD if cash else PaymentMethod.DANA
    order = new_order(uuid4(), BUYER, SELLER, lines, method, PLACED, Terms(HOUR, HOUR, fee), voucher)
    return order if cash else replace(moved(order, OrderStatus.PROCESSING, PLACED), paid_amount=order.total)


RANDOM_ORDERS = st.tuples(LINES, VOUCHERS, st.integers(0, 50_000), st.booleans(), st.randoms(use_true_random=False))


def check_what_comes_back(
    lines: tuple[OrderLine, ...], voucher: Voucher | None, fee: int, cash: bool, chance: Random
) -> None:
    """However an order is cancelled in parts: each part refunds exactly the net of its pieces, no piece costs less than
    nothing or more than its price, and in the end all that was paid has come back, with the shipping fee."""
    order = an_order(lines, voucher, fee, cash)
    priced = [(str(line.product_id), line.quantity, line.unit_price) for line in lines]
    nets = {UUID(product): costs for product, costs in piece_prices(priced, order.discount).items()}
    assert sum(map(sum, nets.values())) == order.total - order.shipping_fee == sum(line.net for line in order.lines)
    assert {line.product_id: line.net for line in order.lines} == {one: sum(net) for one, net in nets.items()}
    for line in lines:
        assert all(0 <= net <= line.unit_price for net in nets[line.product_id])
    gone = dict.fromkeys(nets, 0)
    while order.cancellation is None:
        wanted = {
            line.product_id: chance.randint(1, line.left)
            for line in chance.sample(order.lines, chance.randint(1, len(order.lines)))
            if line.left
        }
        if not wanted:
            continue
        how = asked_for(order, *wanted.items())
        assert isinstance(how, Cancellation)
        for part in how.lines:
            first = gone[part.product_id]
            gone[part.product_id] += part.quantity
            assert part.net == sum(nets[part.product_id][first : gone[part.product_id]])
        refunded, order = order.refunded_amount, after(order, how)
        part_of_price = 0 if cash else sum(part.net for part in how.lines)
        assert how.refund_amount == (order.paid_amount - refunded if how.ended else part_of_price)
    assert gone == {line.product_id: line.quantity for line in lines}
    assert order.refunded_amount == order.paid_amount == (0 if cash else order.total)


@settings(max_examples=60, deadline=None)
@given(RANDOM_ORDERS)
def test_what_comes_back_is_what_was_paid(order: tuple[Any, ...]) -> None:
    """Random orders are cancelled in random parts: what comes back is right to the rupiah."""
    check_what_comes_back(*order)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_what_comes_back_from_many_orders() -> None:
    """A hundred thousand random orders are cancelled in random parts: what comes back is right to the rupiah."""
    for seed in range(100_000):
        chance = Random(seed)
        price = chance.choice([9, 1_000, 10**8])
        lines = tuple(
            OrderLine(
                product_id=uuid4(), title="Kopi", quantity=chance.randint(1, 7), unit_price=chance.randint(1, price)
            )
            for _ in range(chance.randint(1, 4))
        )
        amount = Voucher("A", 0, amount=chance.randint(1, 3 * price))
        percent = Voucher("P", 0, percent=chance.randint(1, 100), cap=chance.randint(1, 3 * price))
        voucher = chance.choice([None, amount, percent])
        check_what_comes_back(lines, voucher, chance.randint(0, 50_000), chance.random() < 0.2, chance)


@pytest.mark.parametrize(
    ("voucher", "lines", "discount"),
    [
        (Voucher("A", 0, amount=30), 100, 30),
        (Voucher("A", 0, amount=30), 20, 20),
        (Voucher("P", 0, percent=15, cap=1000), 99, 14),
        (Voucher("P", 0, percent=50, cap=20), 99, 20),
        (Voucher("P", 0, percent=100, cap=200), 99, 99),
    ],
)
def test_the_discount_of_a_voucher(voucher: Voucher, lines: int, discount: int) -> None:
    """An amount, or a percentage rounded down and up to its cap; never more than the lines cost."""
    assert voucher.discount(lines) == discount


def test_the_discount_goes_to_the_first_pieces() -> None:
    """Ten rupiah on three equal pieces and one dearer one: the remainders decide, and among equals the first piece."""
    products = [UUID(int=number) for number in (1, 2)]
    one, other = (
        OrderLine(product_id=product_id, title="Kopi", quantity=quantity, unit_price=price)
        for product_id, quantity, price in zip(products, (3, 1), (5, 9), strict=True)
    )
    # Each of three pieces: 10 * 5 / 24 = 2 and 2/24; the fourth: 10 * 9 / 24 = 3 and 18/24.
    assert [line.net for line in pricing.spread((one, other), 10)] == [15 - 6, 9 - 4]
    # 11 * 5 / 24 = 2 and 7/24; 11 * 9 / 24 = 4 and 3/24: the eleventh goes to the first of three.
    line, _ = pricing.spread((one, other), 11)
    assert [line.model_copy(update={"cancelled": number}).take(1).net for number in range(3)] == [2, 3, 3]


class TestRefusedParts:
    """Parts that are refused although the whole is not."""

    def line(self, quantity: int, price: int) -> OrderLine:
        return OrderLine(product_id=uuid4(), title="Kopi", quantity=quantity, unit_price=price)

    def code(self, order: Order, *pieces: tuple[UUID, int]) -> str:
        answer = asked_for(order, *pieces)
        return answer.code if isinstance(answer, OrderCancelRejected) else "granted"

    def test_more_than_is_left(self) -> None:
        """More pieces than are left, over all lines of the request, and unknown products are too many."""
        line = self.line(3, 10)
        order, product = an_order((line, self.line(1, 5))), line.product_id
        assert self.code(order, (product, 4)) == self.code(order, (product, 2), (product, 2)) == "not_enough_left"
        assert self.code(order, (uuid4(), 1)) == self.code(order, (product, 1), (uuid4(), 1)) == "not_enough_left"
        assert self.code(order) == "not_enough_left"
        how = asked_for(order, (product, 1), (product, 1))
        assert isinstance(how, Cancellation)
        assert self.code(after(order, how), (product, 2)) == "not_enough_left"
        assert self.code(after(order, how), (product, 1)) == "granted"

    def test_unpaid(self) -> None:
        """An unpaid order is cancelled as a whole only, also if the parts are all of it."""
        line = self.line(1, 10)
        order = new_order(uuid4(), BUYER, SELLER, (line,), PaymentMethod.DANA, PLACED, Terms(HOUR, HOUR))
        assert self.code(order, (line.product_id, 1)) == "wrong_state"

    def test_too_little_left_for_the_voucher(self) -> None:
        """What is left must be worth the voucher's minimum before the discount, or nothing."""
        line, other = self.line(3, 10), self.line(1, 5)
        order = an_order((line, other), Voucher("A", 25, amount=10))
        assert self.code(order, (line.product_id, 1)) == "granted"
        assert self.code(order, (line.product_id, 1), (other.product_id, 1)) == "below_voucher_minimum"
        assert self.code(order, (line.product_id, 2)) == "below_voucher_minimum"
        assert self.code(order, (line.product_id, 3), (other.product_id, 1)) == "granted"
