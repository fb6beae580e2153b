"""A server is down when the services start, or later. The services wait, report it, and recover."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from lab.faults.system import LabSystem
from tests.harness.actors import Buyer, Seller, assert_problem
from tests.harness.waiting import eventually

pytestmark = pytest.mark.servers

SERVERS = {
    "postgres": ("database", ["accounts", "orders", "refunds"]),
    "rabbitmq": ("broker", ["accounts", "orders", "refunds"]),
    "redis": ("redis", ["accounts"]),
}
"""The name of each server in the readiness, and the services that need it."""


@pytest.fixture(scope="package")
async def buyer(opened: LabSystem) -> Buyer:
    """A buyer whose refunds go to Lazada Credit."""
    return await Buyer.register(opened.base.http, "buyer")


@pytest.fixture(scope="package")
async def product(opened: LabSystem) -> str:
    """A product with enough stock."""
    return await (await Seller.register(opened.base.http, "seller")).offer()


async def waits_for(system: LabSystem, service: str, part: str) -> None:
    """Waits until the service is live, and not ready because of this part."""

    async def look() -> bool:
        try:
            status, parts = await system.ready(service)
        except httpx.TransportError:
            return False
        return status == 503 and parts[part] is False

    await eventually(look)
    assert (await system.plain.get(f"/{service}/health/live")).status_code == 200


@pytest.mark.parametrize("server", SERVERS)
async def test_away_at_the_start(system: LabSystem, server: str) -> None:
    """A service that starts before its servers is live and not ready, and becomes ready when they start."""
    processes, (part, services) = system.running.processes, SERVERS[server]
    await processes.stop(*services)
    await system.servers[server].kill()
    starting = asyncio.create_task(processes.start(*services))
    for service in services:
        await waits_for(system, service, part)
    await system.servers[server].start()
    await starting


@pytest.mark.parametrize("server", SERVERS)
async def test_away_later(system: LabSystem, server: str) -> None:
    """A service that loses a server reports it, and reconnects without a restart."""
    processes, (part, services) = system.running.processes, SERVERS[server]
    before = [processes.watched[service].child.pid for service in services]
    await system.servers[server].kill()
    for service in services:
        await waits_for(system, service, part)
    await system.servers[server].start()
    await processes.ready()
    assert [processes.watched[service].child.pid for service in services] == before


async def test_cancelled_without_refunds(system: LabSystem, buyer: Buyer, product: str) -> None:
    """While refunds is stopped, cancellations wait in its queue; they are refunded when it starts."""
    await system.running.processes.stop("refunds")
    order_id = await buyer.buy(product)
    assert (await buyer.cancel(order_id)).status_code == 200
    await system.running.processes.start("refunds")
    assert (await buyer.refund(order_id))["amount"] == 189_000


async def test_refused_without_a_database(system: LabSystem, buyer: Buyer, product: str) -> None:
    """While PostgreSQL is down, a cancellation is refused with 503 `database_unavailable`."""
    order_id = await buyer.buy(product)
    await system.servers["postgres"].kill()
    assert_problem(await replace(buyer, http=system.plain).cancel(order_id), 503, "database_unavailable")
    await system.servers["postgres"].start()
    assert (await buyer.cancel(order_id)).status_code == 200
    assert (await buyer.refund(order_id))["amount"] == 189_000


async def test_dead_dana(system: LabSystem, product: str) -> None:
    """While DANA is down, its refunds wait; when it is back, they arrive exactly once."""
    dana_buyer = await Buyer.register(system.base.http, "buyer")
    await dana_buyer.link_dana("081300000001")
    await system.running.processes.stop("dana")
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    assert (await dana_buyer.refund(order_id, "sending"))["destination"] == "dana"
    await system.running.processes.start("dana")
    snapshot = await system.settled()
    assert (await dana_buyer.refund(order_id))["destination"] == "dana"
    assert (snapshot.broken, snapshot.ledger_sum) == ([], 0)
