"""What an operator does to running services: moving the demonstration's clock, looking after parked messages."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from batalkan.invariants import Evidence, Snapshot, check
from contracts.words import Role
from runtime import urls
from runtime.messaging import parked
from runtime.messaging.parked import Parked
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.settings import Environment
from runtime.storage import clock, embedded, schema
from runtime.storage.database import Database, connect
from services import SERVICES
from services.accounts import demonstration
from services.accounts.admin import create_account
from services.accounts.passwords import Passwords
from services.orders import catalogue


class NothingRunning(Exception):
    """No database of a service can be found or reached."""


class UnreadableLog(Exception):
    """The client's log is not one line of JSON for each accepted cancellation."""


@asynccontextmanager
async def database_urls(env: Environment, folder: Path) -> AsyncIterator[Mapping[str, str]]:
    """Where the services' databases are: named by ORDERS_DATABASE_URL and its like, or embedded in `folder`.

    Raises `NothingRunning`, `SettingInvalid`.
    """
    named = {name: _named(env, f"{name.upper()}_DATABASE_URL") for name in SERVICES}
    if all(named.values()):
        yield named
        return
    if not _was_started(folder):
        raise NothingRunning(
            f"no services run in {folder}; start them, or set "
            f"{', '.join(f'{name.upper()}_DATABASE_URL' for name in SERVICES)}"
        )
    async with embedded.running(f"{embedded.SCHEME}{folder}", SERVICES) as urls:
        yield urls


def _named(env: Environment, setting: str) -> str:
    return env.url(setting, "", urls.DATABASE) if env.get(setting, "") else ""


def _was_started(folder: Path) -> bool:
    return (folder / "postgres" / "postmaster.pid").exists()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A connection to one database for a moment. Raises `NothingRunning`."""
    try:
        connection = await connect(url, timeout=5)
    except (OSError, asyncpg.PostgresError) as error:
        raise NothingRunning(f"the database is away: {error}") from error
    try:
        yield connection
    finally:
        await connection.close()


async def advance_clock(urls: Mapping[str, str], by: timedelta) -> timedelta:
    """Moves the time of all services together. Raises `ClockFixed` if one of them does not run for demonstration."""
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
    """Holds the stores against each other, against DANA's journal at the origin `dana` if one is given, and against a
    client's log: a line of JSON with `order_id` and `cancellation_id` for each cancellation that was accepted.

    Raises `NothingRunning`, `UnreadableLog`.
    """
    evidence = Evidence(accepted=_accepted(accepted) if accepted else None)
    for url in urls.values():
        async with connected(url):
            """It can be reached."""
    if not dana:
        return await check(urls, evidence=evidence)
    async with httpx.AsyncClient(base_url=f"{dana}/control", trust_env=False) as control:
        return await check(urls, control, evidence)


def _accepted(log: Path) -> Mapping[UUID, UUID]:
    try:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return {UUID(line["order_id"]): UUID(line["cancellation_id"]) for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableLog(f"{log}: {error!r}") from error


async def clock_shift(urls: Mapping[str, str]) -> Mapping[str, timedelta]:
    """How far the time of each service is moved."""
    shifts = {}
    for name, url in urls.items():
        async with connected(url) as connection:
            shifts[name] = await clock.shift(connection)
    return shifts


@asynccontextmanager
async def working(name: str, urls: Mapping[str, str]) -> AsyncIterator[UnitOfWork]:
    """The door to one service's database, for a moment."""
    database = Database(urls[name], pool_size=1)
    async with connected(urls[name]):
        await database.connect()
    try:
        yield UnitOfWork(name, database)
    finally:
        await database.close()


async def migrate_all(urls: Mapping[str, str]) -> Sequence[str]:
    """Brings every service's database up to date and returns their names."""
    for name, url in urls.items():
        database = Database(url, pool_size=2)
        await database.connect()
        await schema.migrate(database, Path(__file__).parent.parent / "services" / name / "migrations")
        await database.close()
    return list(urls)


async def seed_all(urls: Mapping[str, str]) -> None:
    """Adds the demonstration's accounts and catalogue."""
    async with working("accounts", urls) as uow:
        await demonstration.seed(uow, Passwords())
    async with working("orders", urls) as uow:
        await catalogue.seed(uow)


async def create_agent(urls: Mapping[str, str], email: str, password: str, name: str) -> UUID:
    """Makes an agent's account; the running service tells the others. Raises `Problem`."""
    async with working("accounts", urls) as uow:
        return (await create_account(uow, email, password, name, Role.AGENT)).account_id


async def list_parked(urls: Mapping[str, str]) -> Mapping[str, Sequence[Parked]]:
    """The messages that each service has set aside."""
    found = {}
    for name, url in urls.items():
        async with connected(url) as connection:
            found[name] = await parked.listing(connection)
    return found


async def show_parked(urls: Mapping[str, str], parked_id: UUID) -> tuple[str, Parked] | None:
    """One message set aside, and by which service."""
    for name, url in urls.items():
        async with connected(url) as connection:
            if found := await parked.show(connection, parked_id):
                return name, found
    return None


async def replay_parked(urls: Mapping[str, str], ids: Sequence[UUID] | None) -> int:
    """Asks the services to handle these messages again (None: all that are set aside); returns how many there are."""
    asked = 0
    for url in urls.values():
        async with connected(url) as connection:
            asked += await parked.ask_for_replay(connection, ids)
    return asked
