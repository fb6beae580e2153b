"""SIGTERM during a request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from batalkan.operate import connected
from lab.faults.system import LabSystem
from tests.harness.actors import Buyer, Seller
from tests.harness.waiting import eventually

pytestmark = pytest.mark.servers


async def test_answer_that_is_under_way_arrives(system: LabSystem) -> None:
    """A request that a service has begun is completed and answered after SIGTERM."""
    http, processes = system.base.http, system.running.processes
    seller, buyer = await Seller.register(http, "seller"), await Buyer.register(http, "buyer")
    order_id = await buyer.buy(await seller.offer())
    async with held(system.running.database_urls["orders"], order_id) as holder:
        asked = asyncio.create_task(replace(buyer, http=system.plain).cancel(order_id))
        await eventually(lambda: holder.fetchval("select true from pg_stat_activity where wait_event_type = 'Lock'"))
        stopping = asyncio.create_task(processes.stop("orders"))
        await eventually(lambda: is_closed(system.running.origin("orders")))
    answer = await asked
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    await stopping
    assert processes.watched["orders"].child.exit_code == 0
    await processes.start("orders")
    assert (await buyer.refund(order_id))["amount"] == 189_000


@asynccontextmanager
async def held(database_url: str, order_id: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """No other transaction gets the order's lock inside the block."""
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute("select from orders where order_id = $1 for update", UUID(order_id))
        yield connection


async def is_closed(origin: str) -> bool:
    """Whether the port is closed."""
    parts = urlsplit(origin)
    try:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError:
        return True
    writer.close()
    return False
