"""The pool of connections: its size, its queue, and what counts as waiting."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from runtime.storage import connections
from runtime.storage import database as databases
from runtime.storage.database import Database, connect
from tests.messaging.toys import Toys


async def test_server_without_free_connections_is_waited_for(embedded_toys: Toys) -> None:
    """A pool that the server gives no further connection waits for one of its own, and refuses no request meanwhile."""
    url = await embedded_toys.database("refunds")
    name = urlsplit(url).path[1:]
    role = f"few_{name}"
    await embedded_toys.databases.admin(f'create role "{role}" login connection limit 2')
    database = Database(urlsplit(url)._replace(netloc=f"{role}@{urlsplit(url).netloc.rpartition('@')[2]}").geturl())
    await database.connect()

    async def ask() -> bool:
        async with database.connection() as connection:
            return bool(await connection.fetchval("select pg_sleep(0.05) is not null"))

    assert await asyncio.gather(*(ask() for _ in range(10))) == [True] * 10
    await database.close()
    await embedded_toys.databases.admin(f'drop role "{role}"')


async def test_no_use_overtakes_in_the_queue_for_a_connection(embedded_toys: Toys) -> None:
    """Uses get a connection in the order in which they came, also while others come at each moment."""
    database, came, served = Database(await embedded_toys.database("refunds"), pool_size=1), list[int](), list[int]()
    await database.connect()

    async def use(number: int) -> None:
        came.append(number)
        async with database.connection() as connection:
            served.append(number)
            await connection.execute("select 1")

    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(use(number))
            await asyncio.sleep(0)
    assert served == came
    await database.close()


async def test_a_pool_takes_its_share_of_the_server(embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pools of all services and the other connections fit into the server's limit, also a small one."""
    admin = await databases.connect(embedded_toys.databases.admin_url)
    allowed = int(await admin.fetchval("show max_connections")) - 3
    await admin.close()
    url = await embedded_toys.database("refunds")
    for shares, size in ((databases.SHARES, databases.POOL_SIZE), (allowed // 5, 4), (allowed, 2)):
        monkeypatch.setattr(databases, "SHARES", shares)
        database = Database(url)
        await database.connect()

        async def backend(database: Database = database) -> int:
            async with database.connection() as connection:
                pid: int = await connection.fetchval("select pg_backend_pid() from pg_sleep(0.02)")
                return pid

        assert len(set(await asyncio.gather(*(backend() for _ in range(30))))) == size
        await database.close()


async def test_standing_still_is_not_the_databases_fault(embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that waits for a connection gets it also when its process stands still for longer than it waits."""
    toy = await embedded_toys.refunds()
    async with AsyncExitStack() as held:
        for _ in range(databases.POOL_SIZE):
            await held.enter_async_context(toy.database.connection())
        monkeypatch.setattr(databases, "BUSY_TIMEOUT", 0.2)
        monkeypatch.setattr(databases, "SLICE", 0.05)
        waiting = asyncio.create_task(toy.fetch("select 1"))
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_soon(time.sleep, 0.3)
        await asyncio.sleep(0.01)
    assert await waiting == [1]


async def test_array_types_are_looked_up_once_per_process(embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first connection of a process asks what the built-in array types are, for all of them; the others know
    it from there. A type of the database's own is looked up by each: its number may mean another type elsewhere."""
    asked = list[int]()
    look_up = asyncpg.Connection._introspect_types  # type: ignore[attr-defined]

    async def noted(connection: object, oids: Iterable[int], timeout: float) -> object:
        asked.append(max(oids))
        return await look_up(connection, oids, timeout)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", noted)
    monkeypatch.setattr(connections, "_described", {})
    url = await embedded_toys.database("refunds")
    for _ in range(3):
        connection = await connect(url)
        assert await connection.fetchval("select $1::uuid[]", [UUID(int=1)]) == [UUID(int=1)]
        assert await connection.fetchval("select $1::bigint[]", [1]) == [1]
        await connection.execute("create domain code as text; create table if not exists kept (codes code[])")
        await connection.fetch("select codes from kept")
        await connection.execute("drop table kept; drop domain code")
        await connection.close()
    assert [oid < connections.BUILT_IN for oid in asked].count(True) == 1
    assert [oid >= connections.BUILT_IN for oid in asked].count(True) == 3
