"""The systems under test: all services in this process, or one process per service on real servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from starlette.types import ASGIApp

from batalkan import local_servers, system
from batalkan.invariants import Evidence, Snapshot, check, in_flight
from batalkan.invariants.stores import opened
from batalkan.keys import Keys
from batalkan.system import Where
from runtime.messaging.bus import Bus
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.storage import clock
from runtime.storage.connections import AsyncpgConnection, connect
from tests.harness.accounts import QUICK
from tests.harness.waiting import eventually

OUTSIDERS = Evidence(outsiders=True)
"""Tests publish in the names of services, so that events cannot be counted."""
_TIME = "create or replace function clock_now() returns timestamptz language sql stable return"
_REAL_TIME = f"{_TIME} now() + (select shift from clock)"  # noqa: S608 (a constant)


@dataclass(frozen=True)
class SystemUnderTest:
    """The running system, as its users see it (`http`), with access to its stores, bus and time."""

    http: httpx.AsyncClient
    dana: httpx.AsyncClient
    """The control interface of the DANA simulator."""
    database_urls: Mapping[str, str]
    bus: Callable[[str], Bus]
    """The bus as the service of that name reaches it."""
    keys: Keys
    full: bool
    """Whether there is time for the full numbers."""
    hurry: Callable[[], object] = lambda: None
    """Fires deadlines that are due now; without it the loop reads them every two seconds."""
    app: ASGIApp | None = None
    """All services, if they are in this process."""

    async def advance(self, by: timedelta) -> None:
        """Moves the time of all services."""
        for url in self.database_urls.values():
            async with _connected(url) as connection:
                await clock.advance(connection, by)
        self.hurry()

    @asynccontextmanager
    async def clock(self) -> AsyncIterator[Callable[[datetime], Awaitable[None]]]:
        """Inside the block the time of all services is what it is set to, and stands still; then it goes on."""
        last: list[datetime] = []

        async def stand_still(at: datetime) -> None:
            last.append(at)
            for url in self.database_urls.values():
                async with _connected(url) as connection:
                    await connection.execute(f"{_TIME} timestamptz '{at.isoformat()}'")
            self.hurry()

        yield stand_still
        for url in self.database_urls.values():
            async with _connected(url) as connection:
                await connection.execute("update clock set shift = $1 - now()", max(last))
                await connection.execute(_REAL_TIME)

    async def run(self, service: str, statement: str, *arguments: object) -> None:
        """Changes the service's database directly."""
        async with _connected(self.database_urls[service]) as connection:
            await connection.execute(statement, *arguments)

    async def count(self, service: str, table: str) -> int:
        """How many rows there are."""
        async with _connected(self.database_urls[service]) as connection:
            rows: int = await connection.fetchval(f"select count(*) from {table}")  # noqa: S608 (a name in a test)
        return rows

    async def dana_payments(self) -> list[dict[str, Any]]:
        """What DANA has paid."""
        items: list[dict[str, Any]] = (await self.dana.get("/journal")).raise_for_status().json()["items"]
        return items

    async def settled(self, within: float = 30.0, evidence: Evidence = OUTSIDERS) -> Snapshot:
        """The snapshot of all stores, once no event is on its way and every refund is issued; nothing is parked."""

        async def look() -> Snapshot | None:
            async with opened(self.database_urls) as stores:
                if await (in_flight.pending(stores) if evidence.outsiders else in_flight.on_the_way(stores)):
                    return None
            snapshot = await check(self.database_urls, self.dana, evidence)
            return snapshot if snapshot.refunds >= snapshot.cancelled_paid_orders and not snapshot.pending else None

        snapshot = await eventually(look, within)
        assert evidence.injected is not None or snapshot.parked == 0
        return snapshot


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncpgConnection]:
    connection = await connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def embedded(folder: Path, database_url: str, dana_timeout: float = 0.3) -> AsyncIterator[SystemUnderTest]:
    """All services in this process, on the bus in memory."""
    buses: list[Bus] = []

    def bus_tap(bus: Bus) -> Bus:
        buses.append(bus)
        return bus

    where = Where(folder, database_url, dana_timeout=dana_timeout, settling=0.1)
    async with AsyncExitStack() as stack:
        stack.enter_context(patch("services.accounts.passwords.PasswordHasher", lambda: QUICK))
        running = await stack.enter_async_context(system.running(where, bus_tap))
        http = httpx.AsyncClient(transport=httpx.ASGITransport(running.app), base_url="http://localhost")
        await stack.enter_async_context(http)
        urls = running.database_urls
        bus = buses[0]
        yield SystemUnderTest(
            http, running.dana, urls, lambda _: bus, running.keys, full=False, hurry=running.hurry, app=running.app
        )


@asynccontextmanager
async def on_servers() -> AsyncIterator[SystemUnderTest]:
    """One process per service, two of orders, refunds and cs, on RabbitMQ, PostgreSQL and Redis of their own."""
    replicas, extra = {"orders": 2, "refunds": 2, "cs": 2}, {"cs": {"SETTLING": "0.5"}}
    start = local_servers.running(None, replicas=replicas, dana_timeout=1.0, extra=extra)
    async with start as running, running.client() as http:

        def bus(service: str) -> Bus:
            return RabbitBus(running.servers.rabbitmq.url(service), service)

        yield SystemUnderTest(http, running.dana, running.database_urls, bus, running.keys, full=True)


async def gathered(calls: list[Any], at_once: int) -> list[Any]:
    """The results of all, `at_once` of them under way at a time."""
    free = asyncio.Semaphore(at_once)

    async def one(call: Any) -> Any:
        async with free:
            return await call

    return await asyncio.gather(*(one(call) for call in calls))
