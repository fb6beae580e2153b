"""`kill -9`, every second, of whatever it may hit: no money is lost and none comes twice."""

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from batalkan.local import DANA, SERVICES
from services.accounts.demonstration import PASSWORD
from tests.faults.house import House, each
from tests.flows.people import Buyer, Person, Seller

pytestmark = [pytest.mark.servers, pytest.mark.timeout(420)]

CANCELS = 2_000
AT_ONCE = 24
LONGEST = 90
"""Seconds of fire at the most: a machine that takes longer to start a service than it lives would never be done."""
BUYERS = 12
PRICE = 1_000
SERVER_DEATHS = [(0.15, "redis"), (0.3, "rabbitmq"), (0.6, "postgres")]
"""After which part of the cancellations which server dies."""
DANA_FAULTS: list[dict[str, Any]] = [
    {"mode": "drop_before"},
    {"mode": "drop_after"},
    {"mode": "timeout_after", "seconds": 2},
    {"mode": "fail", "recorded": False},
    {"mode": "throttle"},
    {"mode": "pending", "seconds": 1},
    {"mode": "down"},
]


class Crowd:
    """Buyers, half of them with DANA, who order, pay, cancel, and write down every cancellation that was accepted."""

    def __init__(self, name: str, buyers: list[Buyer], products: list[str]) -> None:
        self.name, self.buyers, self.products = name, buyers, products
        self.accepted: dict[str, str] = {}
        """Order: cancellation."""

    @classmethod
    async def gather(cls, http: httpx.AsyncClient, name: str) -> "Crowd":
        """Registers them, and a seller with products at different prices."""
        seller = await Seller.register(http, "seller")
        products = [await seller.offer(price=PRICE + number) for number in range(20)]
        buyers = [await Buyer.register(http, "buyer") for _ in range(BUYERS)]
        for number, buyer in enumerate(buyers[::2]):
            await buyer.link_dana(f"0812000{number:05d}")
        return cls(name, buyers, products)

    @property
    def progress(self) -> float:
        """Which part of the cancellations has been accepted."""
        return len(self.accepted) / CANCELS

    async def story(self, number: int) -> None:
        """One order from its beginning to its end; every tenth is cancelled twice."""
        buyer = self.buyers[number % BUYERS]
        line = {"product_id": self.products[number % len(self.products)], "quantity": 1 + number % 3}
        wanted = {"lines": [line], "payment_method": "bank_transfer"}
        placed = await buyer.ask("POST", "/orders", wanted, key=f"{self.name}-{number}")
        order_id = placed.raise_for_status().json()["order_id"]
        (await buyer.move(order_id, "pay")).raise_for_status()
        for _ in range(1 + (number % 10 == 0)):
            cancellation = (await buyer.cancel(order_id)).raise_for_status().json()["cancellation"]["cancellation_id"]
            assert self.accepted.setdefault(order_id, cancellation) == cancellation
        if number % 100 == 0:  # not often: a try that dies with the service counts as a failed one
            await self.sign_in(number // 100)

    async def sign_in(self, number: int) -> None:
        """One of them comes back another day."""
        buyer = self.buyers[number % BUYERS]
        assert (await Buyer.sign_in(buyer.http, buyer.email, buyer.password)).account_id == buyer.account_id


async def test_two_thousand_cancels_under_fire(house: House) -> None:
    """Every cancellation that was accepted while services and servers died is refunded exactly once."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    crowd = await Crowd.gather(house.place.http, f"crowd-{seed}")
    before, orders = await house.settled(), await house.place.count("orders", "orders")
    async with asyncio.TaskGroup() as group:
        fire = group.create_task(under_fire(house, random.Random(seed), lambda: crowd.progress))
        group.create_task(each(range(CANCELS), crowd.story, AT_ONCE))
    await house.mend()
    await house.place.dana.post("/reset")
    after = await house.settled()
    print(f"seed {seed}, kills {fire.result()}")  # noqa: T201 (pytest shows it with a failure)
    assert min(fire.result().values()) > 0
    assert (after.broken, after.ledger_sum) == ([], 0)
    assert len(crowd.accepted) == CANCELS
    assert await house.place.count("orders", "orders") - orders == CANCELS
    assert after.cancelled_paid_orders - before.cancelled_paid_orders == CANCELS
    assert after.refunds - before.refunds == CANCELS
    assert await house.place.count("orders", "order_refunds where state = 'issued'") == after.refunds
    agent = await Person.sign_in(house.place.http, "agent@example.com", PASSWORD)
    for order_id, cancellation_id in random.sample(sorted(crowd.accepted.items()), 50):
        order = await agent.order(order_id)
        assert order["cancellation"]["cancellation_id"] == cancellation_id
        assert order["refund"].items() >= {"state": "issued", "amount": order["total"]}.items()


async def under_fire(house: House, chance: random.Random, progress: Callable[[], float]) -> dict[str, int]:
    """Kills a service every second, and each server once, while cancellations are accepted; how often each was hit."""
    services: list[str] = [*SERVICES, DANA]
    hit = dict.fromkeys([*services, *house.servers], 0)
    due, mending = list(SERVER_DEATHS), []
    end = asyncio.get_running_loop().time() + LONGEST
    while progress() < 1 and (due or asyncio.get_running_loop().time() < end):
        if due and progress() >= due[0][0]:
            name = due.pop(0)[1]
            await house.servers[name].kill()
            mending.append(asyncio.create_task(house.servers[name].start()))
        else:
            spared = [service for service in services if not hit[service]]
            name = chance.choice(spared or services)
            await house.running.processes.kill(name)
        hit[name] += 1
        trouble = house.place.dana.put("/faults", json={**chance.choice(DANA_FAULTS), "times": 5})
        await asyncio.gather(trouble, asyncio.sleep(1), return_exceptions=True)  # DANA may be what was just killed
    await asyncio.gather(*mending)
    return hit
