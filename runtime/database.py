"""PostgreSQL: the pool, the transaction that everything happens in, and which faults pass by themselves."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import asyncpg

from runtime.patience import Patience
from runtime.problems import Problem

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.pool.PoolConnectionProxy

POOL_SIZE = 10
ACQUIRE_TIMEOUT = 5.0
COMMAND_TIMEOUT = 20.0
"""Seconds that one statement may take."""
CLOSE_TIMEOUT = 2.0
UTC = {"timezone": "UTC"}
"""In a time zone with summer time PostgreSQL adds a day of 23 or 25 hours. It overrides what the server, the database,
the role and the URL say."""
MICROSECOND = timedelta(microseconds=1)

log = logging.getLogger(__name__)


class DatabaseUnavailable(Problem):
    """The database cannot be reached now, or broke off. Ask again soon."""

    status, code, title = 503, "database_unavailable", "The database is away"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "2"}


def is_passing(error: BaseException) -> bool:
    """Whether the fault lies in the database's state rather than in what was asked, so that trying again helps.

    By SQLSTATE class: 08 connection, 40 deadlock or serialization, 53 resources, 55 not in that state, 57 operator
    intervention, 58 system error; and everything that breaks the connection.
    """
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return True  # another replica has just migrated the tables; the library has forgotten the statement by now
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in {"08", "40", "53", "55", "57", "58"}
    if isinstance(error, asyncpg.InterfaceError):
        return "clos" in str(error)  # a connection or pool that "is closed", "is closing"; the rest is wrong use
    # The library raises InternalClientError when it is used between the server's last words and the connection's end.
    return isinstance(error, (OSError, asyncio.TimeoutError, asyncpg.InternalClientError, DatabaseUnavailable))


def _is_unprepared(error: BaseException) -> bool:
    """Whether the server is there, but not yet our role (class 28) or our database (3D)."""
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] in {"28", "3D"}


async def connect(
    url: str, *, server_settings: dict[str, str] | None = None, **options: Any
) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection on which time is exact: in UTC, and with durations that are sent in microseconds, never in days.

    The only way in which anything here connects; `options` are those of `asyncpg.connect`.
    """
    settings = {**(server_settings or {}), **UTC}
    connection: asyncpg.Connection[asyncpg.Record]
    connection = await asyncpg.connect(url, server_settings=settings, **options)  # noqa: TID251
    try:
        await connection.set_type_codec(
            "interval", encoder=_exact, decoder=_duration, schema="pg_catalog", format="tuple"
        )
    except BaseException:
        connection.terminate()
        raise
    return connection


def _exact(duration: timedelta) -> tuple[int, int, int]:
    return 0, 0, duration // MICROSECOND


def _duration(parts: tuple[int, int, int]) -> timedelta:
    months, days, microseconds = parts
    return timedelta(days=30 * months + days, microseconds=microseconds)  # as PostgreSQL counts: a day is 24 hours


class Database:
    """A pool of connections to one service's database. Connects in the background and again after every outage."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        self.url = url
        self._pool_size = pool_size
        self._pool: Pool | None = None

    async def connect(self, on_failure: Callable[[], object] = lambda: None) -> None:
        """Waits until the database answers, for as long as that takes; says so each time that it does not."""
        patience = Patience("PostgreSQL", log)
        while self._pool is None:
            try:
                self._pool = await asyncpg.create_pool(  # type: ignore[call-overload]  # noqa: TID251
                    self.url,
                    connect=connect,
                    min_size=1,
                    max_size=self._pool_size,
                    command_timeout=COMMAND_TIMEOUT,
                    timeout=ACQUIRE_TIMEOUT,
                    init=_prepare,
                    reset=_leave,
                )
            except Exception as error:
                if not is_passing(error) and not _is_unprepared(error):
                    raise
                on_failure()
                await patience.wait(error)

    async def close(self) -> None:
        """Gives every connection back, waiting for what is under way."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT)
            except _BROKEN:
                pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection out of the pool; raises `DatabaseUnavailable` when none can be had."""
        pool = self._pool
        if pool is None:
            raise DatabaseUnavailable("The service has not reached its database yet.")
        try:
            connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT)
        except _BROKEN as error:
            raise DatabaseUnavailable("No connection to the database could be had.") from error
        try:
            yield connection
        finally:
            await pool.release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection with a transaction open on it: committed at the end of the block, rolled back on an error."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def answers(self) -> bool:
        """Whether the database answers right now."""
        try:
            async with self.connection() as connection:
                return bool(await connection.fetchval("select true", timeout=2))
        except Exception as error:
            if not is_passing(error):
                raise
            return False


_BROKEN = (OSError, asyncpg.InterfaceError, asyncpg.PostgresError, asyncio.TimeoutError)


async def _leave(_: Any) -> None:
    """Nothing is set on a connection that outlives a transaction, so the four statements that would take it back,
    a round trip for each use, can stay out."""


_LISTS = ("uuid", "text", "bool", "smallint", "integer", "bigint", "timestamptz")


async def _prepare(connection: Any) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    # Types of lists are looked up when they are first met: once for all here, or else many times in requests.
    await connection.prepare("select " + ", ".join(f"null::{kind}[]" for kind in _LISTS))
