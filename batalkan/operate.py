"""Operations on running services: databases, the demonstration's clock, accounts, parked messages, invariants."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from batalkan.invariants import Evidence, Snapshot, check
from contracts.words import Role
from runtime import urls
from runtime.http.client import http_client
from runtime.messaging import parked, partitioning
from runtime.messaging.parked import Parked
from runtime.messaging.partitioning import Partitioning
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.settings import Environment
from runtime.storage import clock, embedded, schema
from runtime.storage.database import Database, connect
from services import SERVICES
from services.accounts.admin import create_account


class NothingRunning(Exception):
    """A service's database is not configured or not reachable."""


class CannotSeed(Exception):
    """The demonstration's data cannot be added; the text says why."""


class UnreadableLog(Exception):
    """The client's log is not one line of JSON for each accepted cancellation."""


@asynccontextmanager
async def database_urls(env: Environment, folder: Path) -> AsyncIterator[Mapping[str, str]]:
    """The URLs of the services' databases: from ORDERS_DATABASE_URL and the like, or the embedded ones in `folder`.

    Raises `NothingRunning`, `SettingInvalid`, `DataFolderUnusable`.
    """
    settings = {name: f"{name.upper()}_DATABASE_URL" for name in SERVICES}
    if all(env.get(setting, "") for setting in settings.values()):
        yield {name: env.url(setting, "", urls.DATABASE) for name, setting in settings.items()}
        return
    if not embedded.is_there(folder / "postgres" / "postmaster.pid"):
        raise NothingRunning(f"no services run in {folder}; start them, or set {', '.join(settings.values())}")
    async with embedded.running(f"{embedded.SCHEME}{folder}", SERVICES) as found:
        yield found


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A short-lived connection to one database. Raises `NothingRunning`."""
    try:
        connection = await connect(url, timeout=5)
    except (OSError, asyncpg.PostgresError) as error:
        raise NothingRunning(f"the database is not reachable; is the server running? {error}") from error
    try:
        yield connection
    finally:
        await connection.close()


async def partitionings(urls: Mapping[str, str]) -> dict[str, Partitioning]:
    """In how many partitions each service consumes."""
    found = {}
    for name, url in urls.items():
        async with connected(url) as connection:
            found[name] = await partitioning.read(connection)
    return {name: one for name, one in found.items() if one is not None}


async def move_partitions(url: str, count: int, tell: Callable[[str], object]) -> None:
    """Has a running service move to `count` partitions; tells each step, and returns after the last."""
    async with connected(url) as connection:
        await partitioning.want(connection, count)
        told = ""
        while (state := await partitioning.read(connection)) is not None and state.moves:
            if told != (told := f"{state.current} to {count} partitions: {state.stage}, {state.messages_left} left"):
                tell(told)
            await asyncio.sleep(partitioning.MOVING)


async def advance_clock(urls: Mapping[str, str], by: timedelta) -> timedelta:
    """Moves the clock of all services forward. Raises `ClockFixed` if one does not run in demonstration mode."""
    for url in urls.values():
        async with connected(url) as connection:
            if not await connection.fetchval("select demonstration from clock"):
                raise clock.ClockFixed
    moved = timedelta(0)
    for url in urls.values():
        async with connected(url) as connection:
            moved = await clock.advance(connection, by)
    return moved


async def check_all(urls: Mapping[str, str], dana: str, accepted: Path | None) -> Snapshot:
    """Checks the invariants of the stores, of DANA's journal at the origin `dana`, if given, and of a client's log:
    a JSON line with `order_id` and `cancellation_id` for each accepted cancellation, and `"part": true` for a part.

    Raises `NothingRunning`, `UnreadableLog`, `JournalUnreadable`.
    """
    evidence = _accepted(accepted) if accepted else Evidence()
    for url in urls.values():
        async with connected(url):
            pass  # only to check that it is reachable
    if not dana:
        return await check(urls, evidence=evidence)
    async with http_client(base_url=f"{dana}/control") as control:
        return await check(urls, control, evidence)


def _accepted(log: Path) -> Evidence:
    try:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        ids = [(UUID(line["order_id"]), UUID(line["cancellation_id"]), bool(line.get("part"))) for line in lines]
        whole = {order_id: cancellation_id for order_id, cancellation_id, part in ids if not part}
        return Evidence(whole, parts={cancellation_id: order_id for order_id, cancellation_id, part in ids if part})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableLog(f"{log}: {error!r}") from error


async def clock_shift(urls: Mapping[str, str]) -> Mapping[str, timedelta]:
    """By how much the clock of each service is ahead."""
    shifts = {}
    for name, url in urls.items():
        async with connected(url) as connection:
            shifts[name] = await clock.shift(connection)
    return shifts


@asynccontextmanager
async def working(name: str, urls: Mapping[str, str]) -> AsyncIterator[UnitOfWork]:
    """A unit of work on one service's database, inside the block."""
    database = Database(urls[name], pool_size=1)
    async with connected(urls[name]):
        await database.connect()
    try:
        yield UnitOfWork(name, database)
    finally:
        await database.close()


async def migrate_all(urls: Mapping[str, str]) -> Sequence[str]:
    """Migrates every service's database; returns the names of the services."""
    for name, url in urls.items():
        await migrate(name, url)
    return list(urls)


async def migrate(name: str, url: str) -> None:
    """Migrates one service's database."""
    database = Database(url, pool_size=2)
    await database.connect()
    await schema.migrate(database, Path(__file__).parent.parent / "services" / name / "migrations")
    await database.close()


async def create_for(urls: Mapping[str, str], role: Role, email: str, password: str, name: str) -> UUID:
    """Creates an account in a role that cannot be registered; the running service publishes the event. Raises
    `Refusal`."""
    async with working("accounts", urls) as uow:
        return (await create_account(uow, email, password, name, role)).account_id


async def list_parked(urls: Mapping[str, str]) -> Mapping[str, Sequence[Parked]]:
    """The parked messages of each service."""
    found = {}
    for name, url in urls.items():
        async with connected(url) as connection:
            found[name] = await parked.listing(connection)
    return found


async def show_parked(urls: Mapping[str, str], parked_id: UUID) -> tuple[str, Parked] | None:
    """One parked message and the name of its service."""
    for name, url in urls.items():
        async with connected(url) as connection:
            if found := await parked.show(connection, parked_id):
                return name, found
    return None


async def replay_parked(urls: Mapping[str, str], ids: Sequence[UUID] | None) -> int:
    """Requests the replay of these parked messages (None: of all); returns their number."""
    asked = 0
    for url in urls.values():
        async with connected(url) as connection:
            asked += await parked.ask_for_replay(connection, ids)
    return asked
