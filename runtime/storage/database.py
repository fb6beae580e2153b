"""PostgreSQL: connections, the pool, transactions."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

import asyncpg

from runtime.backoff import Backoff
from runtime.storage.connections import SafeConnection
from runtime.storage.connections import connect as connect
from runtime.storage.database_errors import DatabaseUnavailable as DatabaseUnavailable
from runtime.storage.database_errors import is_transient as is_transient

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.pool.PoolConnectionProxy

POOL_SIZE = 10
SHARES = 8
"""The shares of the server's connections: one for each of the seven services, the connection of its relay included, and
one for the command line and others."""
BUSY_TIMEOUT = 8.0
"""Seconds to wait for a connection when all are in use: less than the timeout of clients."""
SLICE = 0.25
COMMAND_TIMEOUT = 20.0
"""Seconds for one statement."""
LOCK_TIMEOUT = 15.0
"""Seconds that a statement waits for a lock: less than its own limit. The server would go on to wait for a client that
has given up, and then commit."""
CLOSE_TIMEOUT = 2.0
BETWEEN_SERVERS = 1.0
"""Seconds, at least, between two replacements of all connections."""
PROBING = 3.0
"""Seconds for a check of whether the database accepts writes; clients of the health routes wait 4."""
WRITES_FOR = 1.0
"""Seconds for which a successful write is valid for the readiness, if the database answers."""
UNUSED = 20.0
"""Seconds after which an unused connection is closed: each takes 3 MB of the server."""
FULL = 0.05
"""Seconds between two tries at a server that has no connections left."""

log = logging.getLogger(__name__)


class Database:
    """A pool of connections to one service's database. Connects in the background and again after every outage."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        self.url = url
        self._pool_size = pool_size
        self._pool: Pool | None = None
        self._turns = asyncio.Semaphore(pool_size)
        """Those who wait for a connection get it in their order: the pool lets newcomers overtake them."""
        self._expired = -BETWEEN_SERVERS
        self._wrote = -WRITES_FOR
        self._probe: asyncio.Task[bool] | None = None
        self.waited: Callable[[float], object] = lambda seconds: None
        """Gets the seconds that each use waited for its connection, also in vain."""

    async def connect(self, on_failure: Callable[[], object] = lambda: None) -> None:
        """Waits until the database answers, without a limit; calls `on_failure` after each failed try."""
        backoff = Backoff("PostgreSQL", log)
        while self._pool is None:
            try:
                size, pool = self._pool_size, await self._open(self._pool_size)
                if (share := await _share(pool)) < size:
                    pool.terminate()
                    size, pool = share, await self._open(share)
                self._turns = asyncio.Semaphore(size)
                self._pool = pool
            except Exception as error:
                if not is_transient(error):
                    raise
                on_failure()
                await backoff.wait(error)

    async def _open(self, size: int) -> Pool:
        pool: Pool = await asyncpg.create_pool(  # type: ignore[call-overload]  # noqa: TID251
            self.url,
            connect=connect,
            connection_class=SafeConnection,
            min_size=1,
            max_size=size,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={"lock_timeout": f"{LOCK_TIMEOUT:g}s"},
            max_inactive_connection_lifetime=UNUSED,
            init=_prepare,
            reset=_no_reset,
        )
        return pool

    async def close(self) -> None:
        """Closes all connections after their current use."""
        if self._probe is not None:
            self._probe.cancel()
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), CLOSE_TIMEOUT)
            except _BROKEN:
                pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection from the pool; raises `DatabaseUnavailable` if there is none."""
        pool = self._pool
        if pool is None:
            raise DatabaseUnavailable("The service has not reached its database yet.")
        began = perf_counter()
        try:
            connection = await self._acquire(pool)
        except _BROKEN as error:
            raise DatabaseUnavailable("No connection to the database could be had.") from error
        finally:
            self.waited(perf_counter() - began)
        try:
            yield connection
        except asyncpg.ReadOnlySQLTransactionError:
            connection.terminate()
            await self._expire(pool, "is read-only")
            raise
        except TimeoutError:
            await self._expire(pool, "let a statement time out")
            raise
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # `SafeConnection` is about to close itself, which the pool must see first
            raise
        finally:
            try:
                await pool.release(connection)
            finally:
                self._turns.release()

    async def _acquire(self, pool: Pool) -> Connection:
        """A connection, within `BUSY_TIMEOUT`, also if the server has none left."""
        async with _busy_timeout():
            await self._turns.acquire()
            try:
                while True:
                    try:
                        return await pool.acquire()
                    except asyncpg.TooManyConnectionsError:
                        await asyncio.sleep(FULL)
            except BaseException:
                self._turns.release()
                raise

    async def _expire(self, pool: Pool, why: str) -> None:
        """Replaces all connections: after a failover these lead to the former primary. Not too often, since the new
        one may not be available yet."""
        now = asyncio.get_running_loop().time()
        if now - self._expired > BETWEEN_SERVERS:
            self._expired = now
            log.warning("the database %s: all connections to it are replaced", why)
            await pool.expire_connections()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection with an open transaction: commits at the end of the block, rolls back on an error.

        Raises `DatabaseUnavailable` when the commit times out: it may take effect later.
        """
        committing = False
        try:
            async with self.connection() as connection:
                transaction = connection.transaction()
                try:
                    await transaction.start()
                except BaseException:
                    with suppress(asyncpg.InterfaceError):  # a connection that broke is out of our hands already
                        connection.terminate()  # it may be in a transaction now
                    raise
                try:
                    yield connection
                except BaseException:
                    await transaction.rollback()
                    raise
                committing = True
                await transaction.commit()
        except TimeoutError as error:
            if not committing:
                raise
            raise DatabaseUnavailable("The database has not confirmed a commit in time.") from error

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Connection]:
        """A connection on which each statement commits by itself.

        Raises `DatabaseUnavailable` when a statement times out: it may take effect later.
        """
        try:
            async with self.connection() as connection:
                yield connection
        except TimeoutError as error:
            raise DatabaseUnavailable("The database has not confirmed a statement in time.") from error

    async def writes(self) -> bool:
        """Whether the database accepts writes now. A write that waits, as for a standby that is away, is asked about
        again instead of another one: each would keep a connection of the server."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._try_to_write())
            self._probe.add_done_callback(lambda probe: probe.cancelled() or probe.exception())
        try:
            async with asyncio.timeout(PROBING):
                return await asyncio.shield(self._probe)
        except TimeoutError:
            return False

    async def _try_to_write(self) -> bool:
        """Writes at most once a second, because the health routes are called often; in between it only reads whether
        the server is read-only."""
        now = asyncio.get_running_loop().time()
        try:
            async with self.connection() as connection:
                if now > self._wrote + WRITES_FOR or await connection.fetchval(_IS_READ_ONLY):
                    await connection.execute(_PROBE)
                    self._wrote = now
        except Exception as error:
            if not is_transient(error):
                raise
            return False
        return True


_IS_READ_ONLY = "select current_setting('transaction_read_only')::boolean"
_PROBE = """
delete from outbox where false;
set local work_mem = '64kB';
select count(*) from generate_series(1, 10000);
select pg_logical_emit_message(true, 'ready', '')
"""
"""Fails on a read-only server, uses the disk for a sort, and commits to the log, without a change in any table."""
_BROKEN = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError)


async def _share(pool: Pool) -> int:
    """The number of connections for one service on this server; at least two."""
    try:
        allowed: int = await pool.fetchval(_ALLOWED)
    except BaseException:
        pool.terminate()
        raise
    return max(2, allowed // SHARES - 1)


_ALLOWED = """
select sum(setting::integer * case name when 'max_connections' then 1 else -1 end)::integer from pg_settings
where name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
"""


@asynccontextmanager
async def _busy_timeout() -> AsyncIterator[None]:
    """Raises TimeoutError after `BUSY_TIMEOUT`, in slices: while this process gets no processor time, only one of them
    is spent, and the wait does not count as an outage of the database."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer = loop.call_later(SLICE, lambda: spend(BUSY_TIMEOUT - SLICE))

        def spend(left: float) -> None:
            nonlocal timer
            if left > 0:
                timer = loop.call_later(SLICE, spend, left - SLICE)
            else:
                limit.reschedule(loop.time())

        try:
            yield
        finally:
            timer.cancel()


async def _no_reset(_: Any) -> None:
    """Skips the reset of connections, a round trip of four statements for each use: no setting outlives its
    transaction."""


async def _prepare(connection: Any) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
