"""Asking twice, at once or one after the other: one order, one cancellation, one refund."""

from secrets import token_hex

import pytest

from tests.harness.actors import Buyer, Seller
from tests.harness.system import SystemUnderTest, gathered


async def test_cancelled_twice(buyer: Buyer, product: str) -> None:
    """The second request gets the answer of the first, and no money."""
    order_id, credit = await buyer.buy(product), await buyer.credit()
    first = (await buyer.cancel(order_id, reason="wrong_address")).json()
    await buyer.refund(order_id)
    again = await (await buyer.on_the_website()).cancel(order_id, reason="other", note="lagi")
    assert again.status_code == 200
    assert again.json()["cancellation"] == first["cancellation"]
    assert again.json()["version"] == first["version"]
    assert await buyer.credit() == credit + 189_000


async def test_paid_twice(buyer: Buyer, product: str) -> None:
    """Paying again changes nothing."""
    order_id = await buyer.buy(product)
    again = await buyer.move(order_id, "pay")
    assert again.status_code == 200
    assert (again.json()["paid_amount"], again.json()["version"]) == (189_000, 2)


@pytest.mark.parametrize("at_once", [False, True])
async def test_one_order_for_one_key(buyer: Buyer, seller: Seller, at_once: bool) -> None:
    """The same order under the same key is placed once and reserves its stock once, also when it comes all at once."""
    product, key = await seller.offer(stock=30), token_hex(8)
    body = {"lines": [{"product_id": product, "quantity": 2}], "payment_method": "dana"}
    answers = await gathered([buyer.ask("POST", "/orders", body, key) for _ in range(10)], 10 if at_once else 1)
    assert [answer.status_code for answer in answers] == [201] * 10
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 9
    assert await stock(buyer, product) == 28
    await buyer.cancel(answers[0].json()["order_id"])


async def test_other_request_under_the_same_key(buyer: Buyer, stranger: Buyer, product: str) -> None:
    """A key of one request is refused for another request; the same key of another account is another key."""
    key = token_hex(8)
    one, two = ({"lines": [{"product_id": product, "quantity": n}], "payment_method": "cod"} for n in (1, 2))
    first = await buyer.ask("POST", "/orders", one, key)
    refused = await buyer.ask("POST", "/orders", two, key)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    other = await stranger.ask("POST", "/orders", two, key)
    assert other.status_code == 201
    assert other.json()["order_id"] != first.json()["order_id"]


async def test_refusal_is_not_kept(buyer: Buyer, seller: Seller) -> None:
    """A request that was refused under a key may be sent again under it, and succeed."""
    product, key = await seller.offer(stock=1), token_hex(8)
    waiting = await buyer.place(product)
    body = {"lines": [{"product_id": product, "quantity": 1}], "payment_method": "cod"}
    refused = await buyer.ask("POST", "/orders", body, key)
    assert (refused.status_code, refused.json()["code"]) == (409, "out_of_stock")
    await buyer.cancel(waiting)
    assert (await buyer.ask("POST", "/orders", body, key)).status_code == 201


async def test_many_cancels_of_many_orders(
    system: SystemUnderTest, buyer: Buyer, dana_buyer: Buyer, seller: Seller
) -> None:
    """Of many requests at once for each of many orders, each order has one cancellation, one refund, one stock."""
    orders, times = (200, 50) if system.full else (10, 40)
    product = await seller.offer(stock=orders)
    buyers = [(buyer, dana_buyer)[number % 2] for number in range(orders)]
    ids = await gathered([person.buy(product) for person in buyers], 8)
    before = await system.settled()
    calls = [person.cancel(order) for person, order in zip(buyers, ids, strict=True) for _ in range(times)]
    answers = await gathered(calls, 50)
    cancellations: dict[str, set[str]] = {}
    for answer in answers:
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            order = answer.json()
            cancellations.setdefault(order["order_id"], set()).add(order["cancellation"]["cancellation_id"])
    assert cancellations.keys() == set(ids)
    assert [len(one) for one in cancellations.values()] == [1] * orders
    assert await stock(buyer, product) == orders
    after = await system.settled(60)
    assert (after.broken, after.ledger_sum) == ([], 0)
    assert after.refunds - before.refunds == orders
    assert after.refunded - before.refunded == orders * 189_000


async def test_cancel_against_ship(system: SystemUnderTest, seller: Seller, product: str) -> None:
    """When buyer and seller are at it in the same moment one wins, and there is a refund only if it is the buyer."""
    races = 1_000 if system.full else 100
    buyers = [Buyer.signed(system.http, system.keys, "buyer") for _ in range(12)]

    async def race(buyer: Buyer) -> str:
        order_id = await buyer.buy(product)
        await seller.done(order_id, "pack")
        cancelled, shipped = await gathered([buyer.cancel(order_id), seller.move(order_id, "ship")], 2)
        assert {cancelled.status_code, shipped.status_code} == {200, 409}
        assert (await buyer.order(order_id))["status"] == ("cancelled" if cancelled.is_success else "shipped")
        return str(cancelled.json().get("code", "cancelled") if cancelled.is_error else "cancelled")

    before = await system.settled()
    outcomes = await gathered([race(buyers[number % 12]) for number in range(races)], 12)
    assert set(outcomes) == {"cancelled", "already_shipped"}
    after = await system.settled(60)
    assert (after.broken, after.ledger_sum) == ([], 0)
    assert after.refunds - before.refunds == outcomes.count("cancelled")


async def test_stock_is_never_oversold(system: SystemUnderTest, buyer: Buyer, stranger: Buyer, seller: Seller) -> None:
    """Of many orders at once for the last pieces, as many are taken as there are pieces."""
    pieces, tries = (40, 200) if system.full else (10, 40)
    product = await seller.offer(stock=pieces)
    body = {"lines": [{"product_id": product, "quantity": 1}], "payment_method": "cod"}
    answers = await gathered([(buyer, stranger)[n % 2].ask("POST", "/orders", body) for n in range(tries)], 20)
    assert sorted(answer.status_code for answer in answers) == [201] * pieces + [409] * (tries - pieces)
    assert await stock(buyer, product) == 0


async def test_cancelling_gives_stock_back(buyer: Buyer, seller: Seller) -> None:
    """The stock of a cancelled order can be ordered again, once."""
    product = await seller.offer(stock=5)
    order_id = await buyer.buy(product, quantity=3)
    assert await stock(buyer, product) == 2
    await gathered([buyer.cancel(order_id) for _ in range(5)], 5)
    assert await stock(buyer, product) == 5


async def stock(person: Buyer, product_id: str) -> int:
    """How many pieces are left, looked up through all pages of the catalogue."""
    cursor: str | None = ""
    while cursor is not None:
        page = await person.get(f"/orders/products?limit=100{cursor and f'&cursor={cursor}'}")
        for product in page["items"]:
            if product["product_id"] == product_id:
                return int(product["stock"])
        cursor = page["next"]
    raise AssertionError("there is no such product")
