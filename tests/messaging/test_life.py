"""A service starts without its servers, reports what is missing, and stops on a signal."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence

import httpx
import pytest

from runtime.messaging import batches
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.consumer import Handlers
from runtime.service import Loop, LoopEnded, Service
from runtime.storage import connections, schema
from runtime.storage import database as storage
from runtime.storage.database import Database, DatabaseUnavailable
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.toys import MIGRATIONS, Counted, Toys, message, whole_service, write_down

WITHIN = 10.0
"""Seconds in which a process ends that gets a signal: docs/availability.md. What could hold it up here takes longer."""


async def ready(built: Service) -> dict[str, object]:
    """The answer of a health route."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(built.app), base_url="http://localhost") as client:
        answer = await client.get("/refunds/health/ready")
        assert answer.status_code == (200 if all(answer.json()["parts"].values()) else 503)
        parts: dict[str, object] = answer.json()["parts"]
        return parts


async def test_a_service_works_on_an_empty_database(embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes its tables, gets ready, acts on events, and stops without waiting for what has nothing more to do."""
    monkeypatch.setattr(batches, "STOPPING", 20.0)
    monkeypatch.setattr(storage, "CLOSE_TIMEOUT", 20.0)
    url = await embedded_toys.databases.empty("refunds")
    built = whole_service(url, embedded_toys.bus("refunds"), {Counted: write_down})
    async with built.running():
        assert await ready(built) == {"database": False, "broker": False}
        await built.until_ready()
        await embedded_toys.send(message(1))
        toy = await embedded_toys.on(url, "refunds", {})
        await becomes(toy.effects, [1])
        stopping = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stopping < WITHIN


async def test_a_service_says_how_many_messages_wait_only_while_it_knows(embedded_toys: Toys) -> None:
    """While the broker does not tell, the number is unknown, and not 0."""
    bus = Unreliable(embedded_toys.bus("refunds"))
    built = whole_service(await embedded_toys.databases.empty("refunds"), bus, {Counted: write_down})
    async with built.running():
        await built.until_ready()
        assert await built._waiting() == 0
        bus.uncounted = True
        assert await built._waiting() is None


async def test_services_of_one_process_migrate_in_turn_on_any_event_loop(embedded_toys: Toys) -> None:
    """Two migrate at once on the loop of the tests, and two on a loop in a thread of its own."""

    async def migrate(urls: Sequence[str]) -> None:
        databases = [Database(url) for url in urls]
        for database in databases:
            await database.connect()
        await asyncio.gather(*(schema.migrate(database, MIGRATIONS) for database in databases))
        for database in databases:
            async with database.connection() as connection:
                assert await connection.fetchval("select count(*) from alembic_version") == 2
            await database.close()

    urls = [await embedded_toys.databases.empty("refunds") for _ in range(4)]
    await migrate(urls[:2])
    await asyncio.to_thread(asyncio.run, migrate(urls[2:]))


async def test_no_request_is_taken_before_the_database_is_prepared(embedded_toys: Toys) -> None:
    """The HTTP server begins to listen when the tables are there: until then another replica answers."""
    built = whole_service(await embedded_toys.databases.empty("refunds"), MemoryBus())
    async with built.app.router.lifespan_context(built.app):
        assert (await ready(built))["database"] is True


async def test_a_service_serves_http_without_its_database() -> None:
    """A service whose tables are not migrated serves at once, and reports what is missing."""
    built = whole_service("postgresql://toy:toy@127.0.0.1:1/toy", MemoryBus())
    async with asyncio.timeout(WITHIN), built.app.router.lifespan_context(built.app):
        assert (await ready(built))["database"] is False


async def test_a_service_stops_at_once_when_its_database_was_never_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that accepts connections and never answers delays neither start nor stop."""
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT", 20.0)
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    built = whole_service(f"postgresql://toy:toy@127.0.0.1:{port}/toy", MemoryBus())
    try:
        async with asyncio.timeout(WITHIN), built.running():
            assert await ready(built) == {"database": False, "broker": False}
    finally:
        silent.close()


@pytest.mark.parametrize("handlers", [{}, {Counted: write_down}])
async def test_a_service_without_its_broker_is_not_ready(embedded_toys: Toys, handlers: Handlers) -> None:
    """A service is not ready while the broker is away, with consumers or without; then it becomes ready."""
    bus = Unreliable(MemoryBus(), away=True)
    built = whole_service(await embedded_toys.database("refunds"), bus, handlers)
    async with built.running():
        for _ in range(20):
            assert (await ready(built))["broker"] is False
            await asyncio.sleep(0.005)
        bus.away = False
        await built.until_ready()


async def test_a_database_that_goes_away_while_it_is_prepared_is_waited_for(embedded_toys: Toys) -> None:
    """A transient error during the start delays the start and does not end it."""
    built = whole_service(await embedded_toys.database("refunds"), MemoryBus())
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
    """A loop that fails."""
    raise ZeroDivisionError


async def end() -> None:
    """A loop that ends without an error."""


async def stray_cancellation() -> None:
    """A loop that a library cancels without a request to stop."""
    raise asyncio.CancelledError


@pytest.mark.parametrize("loop", [fail, end, stray_cancellation])
async def test_a_loop_that_ends_ends_the_service(embedded_toys: Toys, loop: Loop) -> None:
    """The service stops all its tasks and ends with the error, as does a wait until it is ready."""
    built = whole_service(await embedded_toys.database("refunds"), MemoryBus())
    given_up = asyncio.Event()
    built.give_up = given_up.set
    built.background.append(loop)
    with pytest.raises(ExceptionGroup) as caught:
        async with built.running():
            await asyncio.wait_for(given_up.wait(), 5)
    assert caught.group_contains(ZeroDivisionError if loop is fail else LoopEnded)
    with pytest.raises(ExceptionGroup):
        await built.until_ready()


PROCESS = """
from runtime.serve import serve
from tests.messaging.test_life import fail
from tests.messaging.toys import whole_service

def build(settings, env, url, bus):
    service = whole_service(url, bus)
    service.background.append(fail)
    return service

serve("refunds", build)
"""


@pytest.mark.processes
async def test_the_process_of_a_failed_service_ends_with_an_error(embedded_toys: Toys) -> None:
    """The supervisor of the process sees that it failed, and why."""
    environment = {"DATABASE_URL": await embedded_toys.database("refunds"), "PORT": "0"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROCESS, env=environment, stderr=PIPE)
    async with asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"refunds has failed" in errors
    assert b"ZeroDivisionError" in errors
