"""The market that `batalkan seed` makes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from batalkan import market
from batalkan.invariants import Evidence
from batalkan.operate import CannotSeed, connected
from contracts.words import OrderStatus
from services.accounts.demonstration import PASSWORD
from tests.conftest import Databases
from tests.harness.actors import Person
from tests.harness.system import SystemUnderTest, embedded

pytestmark = pytest.mark.timeout(120)

FACTS = {
    "accounts": "select account_id, email, name, role from accounts where email <> 'agent@example.com'",
    "orders": "select order_id, buyer_id, seller_id, o.lines, status, total, voucher, channel, c.lines, refund_amount "
    "from orders o left join cancellations c using (order_id, seller_id)",
    "chat": "select t.order_id, m.seq, m.sender_id, coalesce(m.code, m.text) from messages m join threads t "
    "using (thread_id)",
    "cs": "select buyer_id, agent_id, order_id, state, outcome, rating, last_seq from cases",
}
"""What the market has at each service."""


@asynccontextmanager
async def opened(databases: Databases, folder: Path) -> AsyncIterator[SystemUnderTest]:
    """A new system to which the market was added, at rest and sound."""
    async with databases.of_a_system() as url, embedded(folder, url) as system:
        assert await market.load(system.database_urls)
        assert not (await system.settled(evidence=Evidence())).broken
        yield system


async def facts(system: SystemUnderTest) -> dict[str, list[str]]:
    """The facts of the market, without times and what is made of them."""
    found = {}
    for service, query in FACTS.items():
        async with connected(system.database_urls[service]) as connection:
            found[service] = sorted(str(tuple(row)) for row in await connection.fetch(query))
    return found


async def sees(system: SystemUnderTest, role: str, path: str) -> list[Any]:
    """What an account of the demonstration gets."""
    person = await Person.sign_in(system.http, f"{role}@example.com", PASSWORD)
    items: list[Any] = (await person.get(path))["items"]
    return items


async def test_the_market_is_always_the_same(embedded_databases: Databases, tmp_path: Path) -> None:
    """Each role finds something on its first page; adding the market again changes nothing, and another system gets
    the same."""
    async with opened(embedded_databases, tmp_path / "one") as system:
        orders = await sees(system, "buyer", "/orders") + await sees(system, "seller", "/orders")
        assert {order["status"] for order in orders} == set(OrderStatus)
        assert {order["cancellation"].get("channel") for order in orders} >= {"app", "web", "chat"}
        assert any(order["refunded_amount"] for order in orders if order["status"] == "processing")
        for role in ("buyer", "seller"):
            assert await sees(system, role, "/chat/threads")
        assert len(await sees(system, "agent", "/cs/cases?state=waiting")) == 2
        assert len(await sees(system, "buyer", "/orders/products?limit=100")) > 40
        before = await facts(system)
        assert not await market.load(system.database_urls)
        assert await facts(system) == before
        await system.run("accounts", "update clock set demonstration = false")
        with pytest.raises(CannotSeed, match="DEMONSTRATION"):  # its accounts have a public password
            await market.load(system.database_urls)
    async with opened(embedded_databases, tmp_path / "other") as system:
        assert await facts(system) == before
