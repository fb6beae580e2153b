"""How each database error is counted: not at all, as one attempt, or as the last."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from fastapi import APIRouter

from batalkan.keys import Keys
from runtime.http.app import RetryOnConflict
from runtime.messaging import consumer
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage import database as databases
from runtime.storage import database_errors
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.storage.database_errors import RETRIES, Retry
from tests.harness.waiting import becomes
from tests.messaging.test_parked import replay
from tests.messaging.toys import MIGRATIONS, Counted, Noted, Toy, Toys, message, running, write_down

Spoil = Callable[[Transaction], Awaitable[object]]


def sql(*statements: str) -> Spoil:
    """Runs these, of which the last one fails."""

    async def run(tx: Transaction) -> None:
        for statement in statements:
            await tx.connection.execute(statement)

    return run


async def lost(tx: Transaction) -> None:
    """The error of the transaction that loses a deadlock."""
    raise asyncpg.DeadlockDetectedError("deadlock detected")


SLOW: dict[str, Spoil] = {
    "command timeout": sql("select pg_sleep(30)"),
    "statement timeout": sql("set local statement_timeout = '1ms'", "select pg_sleep(30)"),
    "lock timeout": sql("set local lock_timeout = '1ms'", "lock table busy"),
    "deadlock": lost,
}


@pytest.fixture
async def short_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement may take 0.1 seconds."""
    monkeypatch.setattr(databases, "COMMAND_TIMEOUT", 0.1)


@asynccontextmanager
async def busy(toy: Toy) -> AsyncIterator[None]:
    """There is a table that another session holds."""
    await toy.fetch("create table if not exists busy ()")
    async with toy.database.transaction() as holder:
        await holder.execute("lock table busy")
        yield


@pytest.mark.usefixtures("short_commands")
@pytest.mark.parametrize("fault", SLOW)
async def test_slow_message_is_parked(embedded_toys: Toys, fault: str) -> None:
    """A message whose statement never comes to its end is parked after five attempts, and the next one is handled."""

    async def handle(tx: Transaction, event: Counted) -> Sequence[Event]:
        if event.number == 1:
            await SLOW[fault](tx)
        return await write_down(tx, event)

    refunds = await embedded_toys.refunds(handle)
    async with busy(refunds), running(refunds.consumer.run()):
        await embedded_toys.send(message(1), message(2))
        await becomes(refunds.effects, [2])
        (parked,) = await refunds.parked()
        assert parked.error.startswith("failed 5 times")
        assert await replay(refunds) == ["parked"]


async def test_hopeless_message_is_parked_at_once(embedded_toys: Toys) -> None:
    """A message that fails in the same way each time is not tried again."""
    attempts = 0

    async def divide(tx: Transaction, event: Counted) -> Sequence[Event]:
        nonlocal attempts
        attempts += 1
        await tx.connection.execute("select 1 / $1::integer", event.number)
        return []

    refunds = await embedded_toys.refunds(divide)
    async with running(refunds.consumer.run()):
        await embedded_toys.send(message(0))
        await becomes(refunds.count("parked"), 1)
    assert attempts == 1
    assert await refunds.count("failures")() == 0


@pytest.mark.usefixtures("short_commands")
async def test_slow_deadline_harms_itself_only(embedded_toys: Toys) -> None:
    """A deadline whose statement never comes to its end is put off, and those behind it fire."""

    async def act(tx: Transaction, subject: str) -> Sequence[Event]:
        if subject == "1":
            await SLOW["command timeout"](tx)
        await tx.connection.execute("insert into effects (thing, number, note) values ('due', $1, '')", int(subject))
        return []

    toy = await embedded_toys.on(await embedded_toys.database("refunds"), "refunds", {}, {"due": act})
    async with toy.uow.begin() as tx:
        for subject in "123":
            await tx.schedule("due", subject, timedelta(microseconds=1))
    async with running(toy.deadlines.run()):
        await becomes(lambda: toy.fetch("select number from effects order by 1"), [2, 3])
        await becomes(lambda: toy.fetch("select failures > 0 from deadlines"), [True])


async def test_waiting_for_a_connection_costs_nothing(embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as others hold all connections no failure is counted; with one given back the event is handled."""
    refunds = await embedded_toys.refunds()
    tries: list[BaseException] = []

    def records(error: BaseException) -> Retry:
        tries.append(error)
        return database_errors.retry_of(error)

    monkeypatch.setattr(consumer, "retry_of", records)
    async with running(refunds.consumer.run()):
        async with AsyncExitStack() as held:
            for _ in range(databases.POOL_SIZE):
                await held.enter_async_context(refunds.database.connection())
            monkeypatch.setattr(databases, "BUSY_TIMEOUT", 0.02)
            await embedded_toys.send(message(1))
            async with asyncio.timeout(10):
                while len(tries) < 8:
                    await asyncio.sleep(0.01)
            monkeypatch.setattr(databases, "BUSY_TIMEOUT", 5.0)
        await becomes(refunds.effects, [1])
    assert all(isinstance(one, DatabaseUnavailable) for one in tries)
    assert await refunds.count("failures")() == 0


def test_docs_show_the_table() -> None:
    """docs/operations.md lists for each SQLSTATE what the code does."""
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    section = text.split("## Faults of the database")[1].split("\n## ")[0]
    shown: dict[str, str] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        for state in re.findall(r"`([0-9A-Z]{2,5})`", cells[1]) if len(cells) > 3 else ():
            assert state not in shown
            shown[state] = cells[3]
    assert shown == {state: retry.value for state, retry in RETRIES.items()}


class ToyService:
    """A service that writes one row for each request, on a server that can be made read-only."""

    def __init__(self, toys: Toys, url: str, keys: Keys) -> None:
        self._admin = toys.databases.admin
        self.name = urlsplit(url).path[1:]
        router = APIRouter(route_class=RetryOnConflict)

        @router.post("/refunds/things")
        async def write() -> dict[str, bool]:
            async with self.service.uow.begin() as tx:
                await tx.connection.execute("insert into effects (thing, number, note) values ('asked', 1, '')")
                tx.publish(Noted(thing="a", number=1))
            return {"written": True}

        @router.get("/refunds/things")
        async def read() -> dict[str, int]:
            async with self.service.uow.begin() as tx:
                return {"things": await tx.connection.fetchval("select count(*) from effects")}

        description = ServiceSpec("A toy.", router, MIGRATIONS, [Noted], {Counted: write_down})
        settings = Settings.read("refunds", Environment({}))
        self.bus = toys.bus("refunds")
        self.service = Service(settings, Database(url), self.bus, keys.token_keys, description)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.service.app), base_url="http://localhost")

    async def turn(self, read_only: str) -> None:
        """Has new connections begin read-only transactions, or others."""
        await self._admin(f'alter database "{self.name}" set default_transaction_read_only = {read_only}')

    async def cut(self) -> None:
        """Ends the connections that are there."""
        ends = "select pg_terminate_backend(pid) from pg_stat_activity where datname ="
        await self._admin(f"{ends} '{self.name}'")

    async def health(self) -> dict[str, int]:
        """The status of each question of health."""
        paths = ("ready", "serving", "live")
        return {path: (await self.http.get(f"/refunds/health/{path}")).status_code for path in paths}


async def to_standby(toy_service: ToyService) -> None:
    """Every connection that is there leads to a read-only server, as after a failover behind one address."""
    pool: Any = toy_service.service.uow.database._pool
    for holder in pool._holders:
        while holder.is_connected():
            try:
                await holder._con.execute("set default_transaction_read_only = on")
                break
            except asyncpg.InterfaceError:  # it is in use
                await asyncio.sleep(0)


async def test_failover_to_another_server(embedded_toys: Toys, keys: Keys) -> None:
    """When the connections at hand lead to a server that is read-only by now, one request at the most is told to come
    again, and the next ones are served, over new connections, as is an event."""
    toy_service = ToyService(embedded_toys, await embedded_toys.database("refunds"), keys)
    async with toy_service.service.running(), toy_service.http:
        await toy_service.service.until_ready()
        await asyncio.gather(*(toy_service.http.post("/refunds/things") for _ in range(8)))
        await to_standby(toy_service)
        first = await toy_service.http.post("/refunds/things")  # unless something else has met the server before
        assert first.status_code == 200 or (first.status_code, first.json()["code"]) == (503, "database_unavailable")
        assert first.status_code == 200 or int(first.headers["retry-after"]) > 0
        answers = await asyncio.gather(*(toy_service.http.post("/refunds/things") for _ in range(8)))
        assert [answer.status_code for answer in answers] == [200] * 8
        await to_standby(toy_service)
        await embedded_toys.send(message(1))
        await becomes(lambda: count(toy_service, "effects"), 8 + (first.status_code == 200) + 8 + 1)
        assert await count(toy_service, "failures") == 0


async def count(toy_service: ToyService, table: str) -> int:
    """How many rows there are."""
    async with toy_service.service.uow.database.connection() as connection:
        rows: int = await connection.fetchval(f"select count(*) from {table}")  # noqa: S608
    return rows


async def test_read_only_database(embedded_toys: Toys, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be written the service reads, refuses what writes with 503, and is neither ready nor serving;
    then it goes on by itself, and has lost nothing."""
    monkeypatch.setattr(databases, "WRITES_FOR", 0.0)
    monkeypatch.setattr(databases, "BETWEEN_SERVERS", 0.05)
    toy_service = ToyService(embedded_toys, await embedded_toys.database("refunds"), keys)
    async with toy_service.service.running(), toy_service.http:
        await toy_service.service.until_ready()
        assert await toy_service.health() == {"ready": 200, "serving": 200, "live": 200}
        await toy_service.turn("on")
        await toy_service.cut()
        assert await toy_service.health() == {"ready": 503, "serving": 503, "live": 200}
        await embedded_toys.send(message(1))
        for _ in range(5):
            assert (await toy_service.http.post("/refunds/things")).status_code == 503
            assert (await toy_service.http.get("/refunds/things")).json() == {"things": 0}
        await toy_service.turn("off")
        await becomes(toy_service.health, {"ready": 200, "serving": 200, "live": 200})
        await becomes(lambda: count(toy_service, "effects"), 1)
        assert (await toy_service.http.post("/refunds/things")).status_code == 200
        await becomes(lambda: count(toy_service, "outbox"), 0)
        assert await count(toy_service, "failures") == await count(toy_service, "parked") == 0


async def test_serving_does_not_need_the_broker(embedded_toys: Toys, keys: Keys) -> None:
    """Without the broker a service is not ready, and serves."""
    toy_service = ToyService(embedded_toys, await embedded_toys.database("refunds"), keys)
    async with toy_service.service.running(), toy_service.http:
        await toy_service.service.until_ready()
        toy_service.service._relay._publisher, publisher = None, toy_service.service._relay._publisher
        assert await toy_service.health() == {"ready": 503, "serving": 200, "live": 200}
        toy_service.service._relay._publisher = publisher


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
    monkeypatch.setattr(databases, "BUSY_TIMEOUT", 1.0)
    toy = await embedded_toys.refunds()
    async with AsyncExitStack() as held:
        for _ in range(databases.POOL_SIZE):
            await held.enter_async_context(toy.database.connection())
        waiting = asyncio.create_task(toy.fetch("select 1"))
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_soon(time.sleep, 1.2)
        await asyncio.sleep(0.01)
    assert await waiting == [1]
