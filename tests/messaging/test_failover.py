"""Clients of a PostgreSQL that can fail over: a commit is never cancelled, and a silent host delays no connection."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from runtime.storage import connections
from runtime.storage import database as databases
from runtime.storage.connections import connect
from runtime.storage.database import Database, DatabaseUnavailable
from tests.conftest import Databases
from tests.harness.waiting import becomes, eventually
from tests.messaging.toys import Toys

INSERT = "insert into effects (thing, number, note) values ('a', 1, '')"
COMMIT = "select pg_logical_emit_message(true, '', '')"
"""A transaction that writes, if only to the log."""
WAITING = "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database()"
"""How many transactions of this database wait for the standby."""
Work = Callable[[Database], Awaitable[object]]


@pytest.fixture
async def await_standby(server_databases: Databases) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """Has the server's commits wait for the synchronous standby of a name, or for none; returns when they do so."""
    commits: list[asyncio.Task[None]] = []

    async def one_waits() -> bool:
        commits.append(asyncio.create_task(server_databases.admin(COMMIT)))
        connection = await connect(server_databases.admin_url)
        found: int = await connection.fetchval(WAITING)
        await connection.close()
        return found > 0

    async def set_standby(names: str) -> None:
        await server_databases.admin(f"alter system set synchronous_standby_names = '{names}'")
        await server_databases.admin("select pg_reload_conf()")
        await (eventually(one_waits) if names else server_databases.admin(COMMIT))

    yield set_standby
    await set_standby("")
    await asyncio.gather(*commits)


async def commit(database: Database) -> None:
    """Commits a transaction."""
    async with database.transaction() as connection:
        await connection.execute(INSERT)


async def commit_by_itself(database: Database) -> None:
    """Runs a statement that is its own transaction."""
    async with database.connection() as connection:
        await connection.execute(INSERT)


async def stop_while_committing(database: Database) -> None:
    """Is cancelled during its commit, as when a service stops."""
    task = asyncio.create_task(commit(database))
    async with database.connection() as connection:
        await eventually(lambda: connection.fetchval(WAITING))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    raise TimeoutError


@pytest.mark.servers
@pytest.mark.parametrize("work", [commit, commit_by_itself, stop_while_committing])
async def test_a_commit_that_times_out_is_invisible(
    work: Work, toys_on_rabbit: Toys, await_standby: Callable[[str], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the synchronous standby is away, a commit that times out, or whose task is cancelled, has no effect that
    another transaction sees; it takes effect when the standby is back."""
    monkeypatch.setattr(databases, "COMMAND_TIMEOUT", 0.5)
    toy = await toys_on_rabbit.refunds()
    await await_standby("absent")
    with pytest.raises((TimeoutError, DatabaseUnavailable)):
        await work(toy.database)
    await asyncio.sleep(0.3)  # a cancel request would have arrived
    assert await toy.effects() == []
    await await_standby("")
    await becomes(toy.effects, [1])


@pytest.mark.servers
async def test_a_readiness_check_that_waits_is_asked_again(
    toys_on_rabbit: Toys, await_standby: Callable[[str], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the synchronous standby is away a service is not ready, and its checks keep one connection in all."""
    monkeypatch.setattr(databases, "PROBING", 0.2)
    toy = await toys_on_rabbit.refunds()
    await await_standby("absent")
    assert [await toy.database.writes() for _ in range(4)] == [False] * 4
    assert await toy.fetch(WAITING) == [1]
    await await_standby("")
    await becomes(toy.database.writes, True)


async def test_a_statement_that_times_out_replaces_all_connections(
    embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a statement without an answer, as from a frozen primary, no connection of the pool is used again."""
    monkeypatch.setattr(databases, "COMMAND_TIMEOUT", 0.2)
    database = (await embedded_toys.refunds()).database

    async def backends() -> set[int]:
        async with AsyncExitStack() as held:
            connections = [await held.enter_async_context(database.connection()) for _ in range(3)]
            return {await connection.fetchval("select pg_backend_pid()") for connection in connections}

    before = await backends()
    with pytest.raises(TimeoutError):
        async with database.transaction() as connection:
            await connection.execute("select pg_sleep(30)")
    assert not before & await backends()


async def test_a_transaction_may_be_cancelled_at_any_moment(
    embedded_toys: Toys, caplog: pytest.LogCaptureFixture
) -> None:
    """A task that is cancelled while its transaction begins gives back no open transaction: nothing is logged."""
    toy = await embedded_toys.refunds()
    for turns in range(40):
        task = asyncio.create_task(commit(toy.database))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await commit(toy.database)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_connection_that_breaks_while_a_transaction_begins_is_an_outage(
    embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of the lost connection, which a loop waits for and a request answers with 503."""
    toy = await embedded_toys.refunds()

    async def break_off(self: Any) -> None:
        self._connection.terminate()
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr(Transaction, "start", break_off)
        with pytest.raises(ConnectionResetError):
            await commit(toy.database)
    await commit(toy.database)


@asynccontextmanager
async def silent_host() -> AsyncIterator[str]:
    """An address that accepts connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"127.0.0.1:{silent.getsockname()[1]}"


@pytest.mark.servers
async def test_a_silent_host_takes_only_its_share(server_databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two silent hosts beside a healthy one, a connection is made within the time limit, wherever they stand."""
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT", 1.5)
    whole = urlsplit(server_databases.admin_url)
    account, _, healthy = whole.netloc.rpartition("@")
    for _ in range(4):
        async with silent_host() as one, silent_host() as two, asyncio.timeout(2):
            url = whole._replace(netloc=f"{account}@{one},{two},{healthy}", query="target_session_attrs=read-write")
            connection = await connect(url.geturl())
            assert await connection.fetchval("select 1") == 1
            connection.terminate()


async def test_a_pooler_that_refuses_a_session_is_reported_at_once() -> None:
    """A server that answers with a protocol violation (08P01) is a mistake in the configuration: no retry."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # the request for TLS
        writer.write(b"N")
        await reader.read(1024)
        fields = b"SERROR\0C08P01\0Munsupported startup parameter: timezone\0\0"
        writer.write(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.timeout(2):
        with pytest.raises(asyncpg.ProtocolViolationError, match="unsupported startup parameter"):
            await Database(f"postgresql://x@127.0.0.1:{port}/x").connect()
