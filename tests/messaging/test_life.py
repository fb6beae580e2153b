"""A service starts without its servers, reports what is missing, and stops on a signal."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter

from batalkan.keys import Keys
from runtime.messaging.bus import Bus, BusError, Gauge, Publisher, Subscription
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.consumer import Handlers
from runtime.service import LoopEnded, Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage import schema
from runtime.storage.database import Database, DatabaseUnavailable
from tests.harness.waiting import becomes
from tests.messaging.toys import MIGRATIONS, Counted, Noted, Toys, message, write_down


class NoBus:
    """A broker that is away until it is not."""

    def __init__(self) -> None:
        self.away = True
        self._bus = MemoryBus()

    async def publisher(self, queues: Sequence[str]) -> Publisher:
        """As the bus does, if it is there."""
        return await self._there().publisher(queues)

    async def subscribe(self, queue: str, routing_keys: Sequence[str]) -> Subscription:
        """As the bus does, if it is there."""
        return await self._there().subscribe(queue, routing_keys)

    async def gauge(self, queue: str) -> Gauge:
        """As the bus does, if it is there."""
        return await self._there().gauge(queue)

    def _there(self) -> Bus:
        if self.away:
            raise BusError("away")
        return self._bus


def service(url: str, bus: Bus, keys: Keys, handlers: Handlers | None = None) -> Service:
    """The toy `refunds`, whole; without handlers if none are given."""
    description = ServiceSpec("A toy.", APIRouter(), MIGRATIONS, [Noted], handlers or {})
    return Service(Settings.read("refunds", Environment({})), Database(url), bus, keys.token_keys, description)


async def ready(built: Service) -> dict[str, object]:
    """The answer of a health route."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(built.app), base_url="http://localhost") as client:
        answer = await client.get("/refunds/health/ready")
        assert answer.status_code == (200 if all(answer.json()["parts"].values()) else 503)
        parts: dict[str, object] = answer.json()["parts"]
        return parts


async def test_a_service_works_on_an_empty_database(embedded_toys: Toys, keys: Keys) -> None:
    """It makes its tables, gets ready, acts on events, and stops within a second."""
    url = await embedded_toys.databases.empty("refunds")
    built = service(url, embedded_toys.bus("refunds"), keys, {Counted: write_down})
    watching = Database(url)
    async with built.running():
        assert await ready(built) == {"database": False, "broker": False}
        await built.until_ready()
        await embedded_toys.send(message(1))
        await watching.connect()

        async def effects() -> int:
            async with watching.connection() as connection:
                return len(await connection.fetch("select 1 from effects"))

        await becomes(effects, 1)
        stopping = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stopping < 1
    await watching.close()


async def test_services_of_one_process_migrate_in_turn_on_any_event_loop(embedded_toys: Toys) -> None:
    """Three at once on the loop of the tests and, one after the other, on two loops in threads of their own."""

    async def three() -> None:
        databases = [Database(url) for url in [await embedded_toys.databases.empty("refunds") for _ in range(3)]]
        for database in databases:
            await database.connect()
        await asyncio.gather(*(schema.migrate(database, MIGRATIONS) for database in databases))
        for database in databases:
            async with database.connection() as connection:
                assert await connection.fetchval("select count(*) from alembic_version") == 2
            await database.close()

    await three()
    for _ in range(2):
        await asyncio.to_thread(asyncio.run, three())


async def test_no_request_is_taken_before_the_database_is_prepared(embedded_toys: Toys, keys: Keys) -> None:
    """The HTTP server begins to listen when the tables are there: until then another replica answers."""
    built = service(await embedded_toys.databases.empty("refunds"), MemoryBus(), keys)
    async with built.app.router.lifespan_context(built.app):
        assert (await ready(built))["database"] is True


async def test_a_service_serves_http_without_its_database(keys: Keys) -> None:
    """A service whose tables are not migrated serves at once, and reports what is missing."""
    built = service("postgresql://toy:toy@127.0.0.1:1/toy", MemoryBus(), keys)
    async with asyncio.timeout(1), built.app.router.lifespan_context(built.app):
        assert (await ready(built))["database"] is False


async def test_a_service_stops_at_once_when_its_database_was_never_reached(embedded_toys: Toys, keys: Keys) -> None:
    """A database that accepts connections and never answers delays neither start nor stop."""
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    built = service(f"postgresql://toy:toy@127.0.0.1:{port}/toy", MemoryBus(), keys)
    try:
        async with asyncio.timeout(1), built.running():
            assert await ready(built) == {"database": False, "broker": False}
    finally:
        silent.close()


@pytest.mark.parametrize("handlers", [{}, {Counted: write_down}])
async def test_a_service_without_its_broker_is_not_ready(embedded_toys: Toys, keys: Keys, handlers: Handlers) -> None:
    """A service is not ready while the broker is away, with consumers or without; then it becomes ready."""
    bus = NoBus()
    built = service(await embedded_toys.database("refunds"), bus, keys, handlers)
    async with built.running():
        for _ in range(20):
            assert (await ready(built))["broker"] is False
            await asyncio.sleep(0.005)
        bus.away = False
        await built.until_ready()


async def test_a_database_that_goes_away_while_it_is_prepared_is_waited_for(embedded_toys: Toys, keys: Keys) -> None:
    """A passing fault during the start delays it and does not end it."""
    built = service(await embedded_toys.database("refunds"), MemoryBus(), keys)
    tries = 0

    async def seed() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise DatabaseUnavailable

    built.on_start.append(seed)
    async with built.running():
        await built.until_ready()
    assert tries == 3


async def fail() -> None:
    """A part that fails."""
    raise ZeroDivisionError


async def end() -> None:
    """A part that just stops working."""


async def stray_cancellation() -> None:
    """A task that a library cancels without a request to stop."""
    raise asyncio.CancelledError


@pytest.mark.parametrize("part", [fail, end, stray_cancellation])
async def test_a_part_that_stops_working_ends_the_service(embedded_toys: Toys, keys: Keys, part: object) -> None:
    """The service logs the error, stops all its tasks, and ends with it."""
    built = service(await embedded_toys.database("refunds"), MemoryBus(), keys)
    given_up = asyncio.Event()
    built.give_up = given_up.set
    built.background.append(part)  # type: ignore[arg-type]
    with pytest.raises(ExceptionGroup) as caught:
        async with built.running():
            await asyncio.wait_for(given_up.wait(), 5)
    expected = ZeroDivisionError if part is fail else LoopEnded
    assert caught.group_contains(expected)


async def test_waiting_for_a_service_that_has_ended_raises_its_error(embedded_toys: Toys, keys: Keys) -> None:
    """Waiting for readiness ends with an error when the service can no longer become ready."""
    built = service(await embedded_toys.database("refunds"), NoBus(), keys)
    built.give_up = lambda: None
    built.background.append(fail)
    with pytest.raises(ExceptionGroup) as caught:
        async with built.running():
            await asyncio.wait_for(built.until_ready(), 5)
    assert caught.group_contains(ZeroDivisionError)


PROCESS = """
import sys
from pathlib import Path
from fastapi import APIRouter
from runtime.storage.database import Database
from runtime.serve import serve
from runtime.service import Service, ServiceSpec

async def fail():
    raise ZeroDivisionError

def build(settings, env, url, bus):
    service = Service(settings, Database(url), bus, Path("none"), ServiceSpec("", APIRouter(), Path(sys.argv[1]), []))
    service.background.append(fail)
    return service

serve("refunds", build)
"""


@pytest.mark.processes
async def test_the_process_of_a_service_that_gave_up_ends_with_an_error(embedded_toys: Toys) -> None:
    """The supervisor of the process sees that it failed, and why."""
    environment = {"DATABASE_URL": await embedded_toys.database("refunds"), "PORT": "0"}
    command = [sys.executable, "-c", PROCESS, str(MIGRATIONS)]
    ended = await asyncio.to_thread(
        subprocess.run,
        command,
        env=environment,
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 1
    assert "refunds has failed" in ended.stderr
    assert "ZeroDivisionError" in ended.stderr
