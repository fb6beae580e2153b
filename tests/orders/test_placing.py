"""Placing orders: the stock is reserved, never sold twice, and a repeated request orders once."""

import asyncio
from uuid import uuid4

import pytest

from tests.harness.actors import Person, assert_problem
from tests.harness.orders import PRODUCT, OrdersHarness, an_order


async def test_an_order_reserves_its_stock(harness: OrdersHarness) -> None:
    """A new order has its lines with the prices of now, is unpaid, and its pieces are gone from the stock."""
    buyer, seller = harness.buyer(), harness.seller()
    shirt = await harness.product(seller, 5, price=189_000, title="Kemeja")
    shoes = await harness.product(seller, 5, price=325_000, title="Sepatu")
    order = await harness.order(buyer, shirt, shoes, shirt)
    lines = {line["product_id"]: (line["title"], line["quantity"], line["unit_price"]) for line in order["lines"]}
    assert lines == {shirt: ("Kemeja", 2, 189_000), shoes: ("Sepatu", 1, 325_000)}
    assert (order["buyer_id"], order["seller_id"]) == (str(buyer.account_id), str(seller.account_id))
    assert (order["total"], order["currency"], order["paid_amount"], order["version"]) == (703_000, "IDR", 0, 1)
    assert [step["status"] for step in order["history"]] == [order["status"]] == ["unpaid"]
    assert order["refund"] is None
    assert order["cancellation"]["allowed"]
    assert (await harness.stock(shirt), await harness.stock(shoes)) == (3, 4)
    placed = (await harness.recorder.wait_for(order["order_id"], "OrderPlaced"))["data"]
    assert (placed["total"], placed["payment_method"], len(placed["lines"])) == (703_000, "dana", 2)
    assert await buyer.get(f"/orders/{order['order_id']}") == order


async def test_the_stock_is_never_oversold(harness: OrdersHarness) -> None:
    """Of 60 buyers at once for 20 pieces, 20 get one, the others are refused, and the stock is 0."""
    product = await harness.product(stock=20)
    body = an_order(product)
    answers = await asyncio.gather(*(harness.buyer().ask("POST", "/orders", body) for _ in range(60)))
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 40
    for answer in refused:
        assert_problem(answer, 409, "out_of_stock")
    assert await harness.stock(product) == 0


async def test_orders_that_cross_do_not_lock_each_other_out(harness: OrdersHarness) -> None:
    """Orders for the same products in opposite order, and their cancellations, all go through."""
    seller = harness.seller()
    products = [await harness.product(seller, 100) for _ in range(4)]

    async def order_and_cancel(number: int) -> None:
        buyer = harness.buyer()
        order = await harness.order(buyer, *(products if number % 2 else reversed(products)))
        await buyer.post(f"/orders/{order['order_id']}/cancel")

    await asyncio.gather(*map(order_and_cancel, range(20)))
    assert [await harness.stock(product) for product in products] == [100] * 4


async def test_an_order_is_placed_whole_or_not_at_all(harness: OrdersHarness) -> None:
    """A product that is scarce, of another seller or unknown refuses the whole order, which reserves nothing."""
    seller, buyer = harness.seller(), harness.buyer()
    plenty, scarce, foreign = await harness.product(seller), await harness.product(seller, 1), await harness.product()
    for other, status, code in ((scarce, 409, "out_of_stock"), (foreign, 422, None), (str(uuid4()), 422, None)):
        assert_problem(await buyer.ask("POST", "/orders", an_order(plenty, other, quantity=2)), status, code)
    assert [await harness.stock(product) for product in (plenty, scarce, foreign)] == [10, 1, 10]


async def test_ten_orders_of_a_buyer_wait_for_their_payment(harness: OrdersHarness) -> None:
    """Of fifteen at once ten are placed, the others are refused and reserve nothing; paying one makes room for one, and
    cash on delivery and other buyers are not concerned."""
    buyer, product = harness.buyer(), await harness.product(stock=100)
    body, keyed = an_order(product), {"Idempotency-Key": "first"}
    first = await buyer.post("/orders", body, 201, **keyed)
    answers = await asyncio.gather(*(buyer.ask("POST", "/orders", body) for _ in range(14)))
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 5
    for answer in refused:
        assert_problem(answer, 409, "too_many_unpaid")
    assert await harness.stock(product) == 90
    assert await buyer.post("/orders", body, 201, **keyed) == first
    await harness.order(buyer, product, method="cod")
    await harness.order(harness.buyer(), product)
    await buyer.post(f"/orders/{first['order_id']}/pay")
    await harness.order(buyer, product)
    assert_problem(await buyer.ask("POST", "/orders", body), 409, "too_many_unpaid")


async def test_lines_of_one_product_are_added_up(harness: OrdersHarness) -> None:
    """The limit of an order counts all its lines."""
    product = await harness.product(stock=1000)
    for pieces, status in (((60, 41), 422), ((60, 40), 201), ((100,), 201)):
        lines = [{"product_id": product, "quantity": count} for count in pieces]
        await harness.buyer().post("/orders", {"lines": lines, "payment_method": "dana"}, status)
    assert await harness.stock(product) == 800


class TestIdempotencyKey:
    """The same request twice, on purpose or not."""

    async def send(self, buyer: Person, product: str, key: str, quantity: int = 1) -> tuple[int, str]:
        answer = await buyer.ask("POST", "/orders", an_order(product, quantity=quantity), key)
        return answer.status_code, answer.text

    async def test_the_same_request_gets_the_stored_answer(self, harness: OrdersHarness) -> None:
        """Ten times the same key and body, at the same time or later, is one order and one answer; with another body
        the key is refused."""
        buyer, product = harness.buyer(), await harness.product()
        answers = await asyncio.gather(*(self.send(buyer, product, "k1") for _ in range(10)))
        answers.append(await self.send(buyer, product, "k1"))
        assert len(set(answers)) == 1
        assert answers[0][0] == 201
        other = await buyer.ask("POST", "/orders", an_order(product, quantity=2), "k1")
        assert_problem(other, 422, "idempotency_key_reused")
        assert await harness.stock(product) == 9

    async def test_keys_belong_to_their_account(self, harness: OrdersHarness) -> None:
        """Two buyers may come upon the same key."""
        product = await harness.product()
        one, other = await self.send(harness.buyer(), product, "k3"), await self.send(harness.buyer(), product, "k3")
        assert one != other
        assert await harness.stock(product) == 8

    async def test_a_refusal_is_not_kept(self, harness: OrdersHarness) -> None:
        """A refused order succeeds under the same key once there is stock."""
        buyer, other, product = harness.buyer(), harness.buyer(), await harness.product(stock=1)
        order = await harness.order(other, product)
        assert (await self.send(buyer, product, "k4"))[0] == 409
        await other.post(f"/orders/{order['order_id']}/cancel")
        assert (await self.send(buyer, product, "k4"))[0] == 201

    async def test_a_product_is_offered_once(self, harness: OrdersHarness) -> None:
        """Keys work for products as they do for orders."""
        seller, key = harness.seller(), {"Idempotency-Key": "k5"}
        one = await seller.post("/orders/products", PRODUCT, 201, **key)
        assert await seller.post("/orders/products", PRODUCT, 201, **key) == one

    @pytest.mark.parametrize("key", ["", " ", "x" * 201, "a b", "\x7f"])
    async def test_a_malformed_key_is_refused(self, key: str, harness: OrdersHarness) -> None:
        """A key is 1 to 200 visible characters."""
        product = await harness.product()
        answer = await harness.buyer().ask("POST", "/orders", an_order(product), headers={"Idempotency-Key": key})
        assert_problem(answer, 422)
        assert await harness.stock(product) == 10
