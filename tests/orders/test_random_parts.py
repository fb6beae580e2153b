"""Random orders with vouchers and shipping, cancelled in random parts through HTTP; compared with a model of pieces."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from batalkan.keys import Keys
from services.orders.main import SPEC
from tests.conftest import Databases
from tests.harness.actors import Json, Person
from tests.harness.orders import OrdersHarness, open_harness
from tests.harness.piece_prices import piece_prices

FEE = 9_000


@pytest.fixture
async def shop(embedded_databases: Databases, keys: Keys) -> AsyncIterator[OrdersHarness]:
    """The service with a shipping fee."""
    url = await embedded_databases.migrated("orders", SPEC.migrations)
    async with open_harness(url, keys, SHIPPING_FEE=str(FEE)) as shop:
        yield shop


class Basket:
    """One order, and what the model knows of it."""

    def __init__(self, chance: Random, products: dict[str, int]) -> None:
        self.chance = chance
        self.voucher = self._voucher() if chance.random() < 0.7 else None
        self.cash = chance.random() < 0.2
        self.quantities = {product: chance.randint(1, 6) for product in products}
        self.prices = products

    def _voucher(self) -> Json:
        kind: Json = {"percent": self.chance.randint(1, 100), "cap": self.chance.randint(1, 10**6)}
        if self.chance.random() < 0.5:
            kind = {"amount": self.chance.randint(1, 10**5)}
        return kind | {"code": "HEMAT", "uses": 1, "minimum": self.chance.choice([0, 1000, 100_000])}

    def listed(self, pieces: dict[str, int]) -> int:
        """What pieces cost before the discount."""
        return sum(self.prices[product] * quantity for product, quantity in pieces.items())

    @property
    def discount(self) -> int:
        """Of the voucher; 0 without one, or below its minimum."""
        all_of_it = self.listed(self.quantities)
        if self.voucher is None:
            return 0
        share = all_of_it * self.voucher.get("percent", 0) // 100
        return int(min(self.voucher.get("amount", share), self.voucher.get("cap", all_of_it), all_of_it))

    def some(self, left: dict[str, int]) -> dict[str, int]:
        """Random pieces of those that are left; rarely one too many."""
        chosen = self.chance.sample(list(left), self.chance.randint(1, len(left)))
        return {one: self.chance.randint(1, left[one] + (self.chance.random() < 0.15)) for one in chosen}

    def expected(self, left: dict[str, int], pieces: dict[str, int]) -> str:
        """The code of the refusal, or none."""
        if any(quantity > left[product] for product, quantity in pieces.items()):
            return "not_enough_left"
        rest = self.listed(left) - self.listed(pieces)
        return "below_voucher_minimum" if self.voucher and 0 < rest < self.voucher["minimum"] else ""


async def run(shop: OrdersHarness, seller: Person, chance: Random) -> tuple[int, int]:
    """Places, pays and cancels one order; how many requests were granted and refused."""
    products = {
        await shop.product(seller, stock=10, price=price): price
        for price in (
            chance.choice([chance.randint(1, 9), chance.randint(1, 10**6)]) for _ in range(chance.randint(1, 4))
        )
    }
    basket, buyer = Basket(chance, products), shop.buyer()
    if basket.voucher and basket.listed(basket.quantities) < basket.voucher["minimum"]:
        basket.voucher["minimum"] = 0
    lines = [{"product_id": product, "quantity": number} for product, number in basket.quantities.items()]
    body: Json = {"lines": lines, "payment_method": "cod" if basket.cash else "dana"}
    if basket.voucher:
        await seller.post("/orders/vouchers", basket.voucher, 201)
        body["voucher"] = basket.voucher["code"]
    order: dict[str, Any] = await buyer.post("/orders", body, 201)
    path, total = f"/orders/{order['order_id']}", basket.listed(basket.quantities) + FEE - basket.discount
    assert (order["discount"], order["total"]) == (basket.discount, total)
    if not basket.cash:
        order = await buyer.post(f"{path}/pay")
    priced = [(line["product_id"], line["quantity"], line["unit_price"]) for line in order["lines"]]
    nets, left = piece_prices(priced, basket.discount), dict(basket.quantities)
    refunded, granted, refused = 0, 0, 0
    while left:
        pieces = basket.some(left)
        wanted = {"lines": [{"product_id": product, "quantity": number} for product, number in pieces.items()]}
        answer = await buyer.ask("POST", f"{path}/cancel", wanted, f"{granted + refused}")
        if code := basket.expected(left, pieces):
            assert (answer.status_code, answer.json()["code"]) == (409, code)
            refused += 1
            if code == "below_voucher_minimum" and refused > 5:
                left, pieces = {}, left  # the rest at once
                answer = await buyer.ask("POST", f"{path}/cancel", None, "rest")
            else:
                continue
        assert answer.status_code == 200, answer.text
        granted += 1
        for product, number in pieces.items():
            refunded += 0 if basket.cash else sum(nets[product][:number])
            del nets[product][:number]
            if product in left:
                left[product] -= number
        left = {product: number for product, number in left.items() if number}
        if not left and not basket.cash:
            refunded += FEE
        assert answer.json()["refunded_amount"] == refunded
    order = answer.json()
    assert (order["status"], refunded) == ("cancelled", 0 if basket.cash else order["paid_amount"])
    assert [await shop.stock(product) for product in products] == [10] * len(products)
    return granted, refused


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", [20, pytest.param(2_000, marks=pytest.mark.long)])
async def test_random_orders_come_back_to_the_rupiah(shop: OrdersHarness, number: int) -> None:
    """Each answer has the discount, total and refund of the model; each refusal is one of the model's."""
    granted, refused = 0, 0
    for seed in range(number):
        more = await run(shop, shop.seller(), Random(seed))
        granted, refused = granted + more[0], refused + more[1]
    assert granted > number
    assert refused > number / 20
