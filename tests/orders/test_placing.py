"""Placing orders: the stock is reserved, never sold twice, and a repeated request orders once."""

import asyncio
from uuid import uuid4

import pytest

from tests.harness.actors import Person, assert_problem
from tests.harness.orders import OrdersHarness, an_order


async def test_an_order_reserves_its_stock(harness: OrdersHarness) -> None:
    """A new order has its lines with the prices of now, is unpaid, and its pieces are gone from the stock."""
    buyer, seller = harness.buyer(), harness.seller()
    shirt, shoes = (
        await harness.product(seller, 5, 189_000, "Kemeja"),
        await harness.product(seller, 5, 325_000, "Sepatu"),
    )
    order = await harness.order(buyer, shirt, shoes, shirt)
    lines = {line["product_id"]: (line["title"], line["quantity"], line["unit_price"]) for line in order["lines"]}
    assert lines == {shirt: ("Kemeja", 2, 189_000), shoes: ("Sepatu", 1, 325_000)}
    assert order["buyer_id"] == str(buyer.account_id)
    assert order["seller_id"] == str(seller.account_id)
    assert (order["total"], order["currency"], order["paid_amount"], order["version"]) == (703_000, "IDR", 0, 1)
    assert [step["status"] for step in order["history"]] == [order["status"]] == ["unpaid"]
    assert order["refund"] is None
    assert order["cancellation"]["allowed"]
    assert (await harness.stock(shirt), await harness.stock(shoes)) == (3, 4)
    placed = (await harness.recorder.wait_for(order["order_id"], "OrderPlaced"))["data"]
    assert (placed["total"], placed["payment_method"], len(placed["lines"])) == (703_000, "dana", 2)
    assert await buyer.get(f"/orders/{order['order_id']}") == order


async def test_cash_on_delivery_is_in_process_at_once(harness: OrdersHarness) -> None:
    """An order to be paid at the door waits for no payment."""
    order = await harness.order(harness.buyer(), await harness.product(harness.seller()), method="cod")
    assert (order["status"], order["paid_amount"]) == ("processing", 0)


async def test_the_stock_is_never_oversold(harness: OrdersHarness) -> None:
    """Of 60 buyers at once for 20 pieces, 20 get one, the others are refused, and the stock is 0."""
    product = await harness.product(harness.seller(), stock=20)
    body = an_order(product)
    answers = await asyncio.gather(*(harness.buyer().ask("POST", "/orders", json=body) for _ in range(60)))
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


async def test_too_much_of_one_line_reserves_nothing(harness: OrdersHarness) -> None:
    """An order is placed whole or not at all."""
    seller = harness.seller()
    plenty, scarce = await harness.product(seller, 10), await harness.product(seller, 1)
    lines = [{"product_id": plenty, "quantity": 5}, {"product_id": scarce, "quantity": 2}]
    answer = await harness.buyer().ask("POST", "/orders", json={"lines": lines, "payment_method": "dana"})
    assert_problem(answer, 409, "out_of_stock")
    assert (await harness.stock(plenty), await harness.stock(scarce)) == (10, 1)


async def test_an_order_is_with_one_seller(harness: OrdersHarness) -> None:
    """An order with products of two sellers is refused, and reserves nothing."""
    one, other = await harness.product(harness.seller()), await harness.product(harness.seller())
    assert_problem(await harness.buyer().ask("POST", "/orders", json=an_order(one, other)), 422)
    assert (await harness.stock(one), await harness.stock(other)) == (10, 10)


async def test_an_unknown_product_cannot_be_ordered(harness: OrdersHarness) -> None:
    """One unknown product refuses the whole order."""
    known = await harness.product(harness.seller())
    assert_problem(await harness.buyer().ask("POST", "/orders", json=an_order(known, str(uuid4()))), 422)
    assert await harness.stock(known) == 10


@pytest.mark.parametrize("role", ["seller", "agent"])
async def test_only_buyers_order(role: str, harness: OrdersHarness) -> None:
    """Sellers and agents cannot place orders."""
    body = an_order(await harness.product(harness.seller()))
    assert_problem(await harness.actors.person(role).ask("POST", "/orders", json=body), 403, "wrong_role")


class TestIdempotencyKey:
    """The same request twice, on purpose or not."""

    async def send(self, buyer: Person, product: str, key: str, quantity: int = 1) -> tuple[int, str]:
        answer = await buyer.ask(
            "POST", "/orders", json=an_order(product, quantity=quantity), headers={"Idempotency-Key": key}
        )
        return answer.status_code, answer.text

    async def test_the_same_request_gets_the_stored_answer(self, harness: OrdersHarness) -> None:
        """Ten times the same key and body, at the same time or later, is one order and one answer."""
        buyer, product = harness.buyer(), await harness.product(harness.seller())
        answers = await asyncio.gather(*(self.send(buyer, product, "k1") for _ in range(10)))
        answers.append(await self.send(buyer, product, "k1"))
        assert len(set(answers)) == 1
        assert answers[0][0] == 201
        assert await harness.stock(product) == 9

    async def test_another_request_under_the_key_is_refused(self, harness: OrdersHarness) -> None:
        """The same key with another body, or on another path, is 422."""
        seller, buyer = harness.seller(), harness.buyer()
        product = await harness.product(seller)
        await self.send(buyer, product, "k2")
        headers = {"Idempotency-Key": "k2"}
        other = await buyer.ask("POST", "/orders", json=an_order(product, quantity=2), headers=headers)
        assert_problem(other, 422, "idempotency_key_reused")
        assert await harness.stock(product) == 9

    async def test_keys_belong_to_their_account(self, harness: OrdersHarness) -> None:
        """Two buyers may come upon the same key."""
        product = await harness.product(harness.seller())
        one, other = await self.send(harness.buyer(), product, "k3"), await self.send(harness.buyer(), product, "k3")
        assert one != other
        assert await harness.stock(product) == 8

    async def test_a_refusal_is_not_kept(self, harness: OrdersHarness) -> None:
        """A refused order succeeds under the same key once there is stock."""
        seller, buyer = harness.seller(), harness.buyer()
        product = await harness.product(seller, stock=1)
        other = harness.buyer()
        order = await harness.order(other, product)
        assert (await self.send(buyer, product, "k4"))[0] == 409
        await other.post(f"/orders/{order['order_id']}/cancel")
        assert (await self.send(buyer, product, "k4"))[0] == 201

    async def test_a_product_is_offered_once(self, harness: OrdersHarness) -> None:
        """Keys work for products as they do for orders."""
        seller, body = harness.seller(), {"title": "Kopi", "price": 1, "stock": 1}
        one = await seller.post("/orders/products", body, 201, **{"Idempotency-Key": "k5"})
        assert await seller.post("/orders/products", body, 201, **{"Idempotency-Key": "k5"}) == one

    @pytest.mark.parametrize("key", ["", " ", "x" * 201, "a b", "\x7f"])
    async def test_a_malformed_key_is_refused(self, key: str, harness: OrdersHarness) -> None:
        """A key is 1 to 200 visible characters."""
        product = await harness.product(harness.seller())
        answer = await harness.buyer().ask("POST", "/orders", json=an_order(product), headers={"Idempotency-Key": key})
        assert_problem(answer, 422)
        assert await harness.stock(product) == 10
