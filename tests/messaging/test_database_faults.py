"""How each database error is counted: not at all, as one attempt, or as the last."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from fastapi import APIRouter

from runtime.http.app import RetryOnConflict
from runtime.messaging import consumer
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction
from runtime.storage import database as databases
from runtime.storage import database_errors
from runtime.storage.database import DatabaseUnavailable
from runtime.storage.database_errors import RETRIES, Retry
from tests.harness.waiting import becomes
from tests.messaging.test_parked import replay
from tests.messaging.toys import Counted, Toy, Toys, message, running, whole_service, write_down
from tests.test_docs_tables import named, table

COUNTED: dict[str, list[tuple[Any, ...]]] = {
    "command timeout": [("select pg_sleep(30)",)],
    "statement timeout": [("set local statement_timeout = '1ms'",), ("select pg_sleep(30)",)],
    "lock timeout": [("set local lock_timeout = '1ms'",), ("lock table busy",)],
    "deadlock": [("do $$ begin raise exception using errcode = 'deadlock_detected'; end $$",)],
    "wrong use": [("select $1::int", 1, 2)],
}
"""Statements with their arguments, of which the last fails for a reason that may be in the message: each try counts."""


async def spoil(tx: Transaction, fault: str) -> None:
    """Runs the statements of a fault."""
    for statement in COUNTED[fault]:
        await tx.connection.execute(*statement, timeout=0.1 if fault == "command timeout" else None)


@asynccontextmanager
async def busy(toy: Toy) -> AsyncIterator[None]:
    """There is a table that another session holds."""
    await toy.fetch("create table if not exists busy ()")
    async with toy.database.transaction() as holder:
        await holder.execute("lock table busy")
        yield


@pytest.mark.parametrize("fault", COUNTED)
async def test_message_that_keeps_failing_is_parked(embedded_toys: Toys, fault: str) -> None:
    """A message whose statement fails each time is parked after five attempts, and the next one is handled."""

    async def handle(tx: Transaction, event: Counted) -> Sequence[Event]:
        if event.number == 1:
            await spoil(tx, fault)
        return await write_down(tx, event)

    refunds = await embedded_toys.refunds(handle)
    async with busy(refunds), refunds.consuming():
        await embedded_toys.send(message(1), message(2))
        await becomes(refunds.effects, [2])
        (parked,) = await refunds.parked()
        assert parked.error.startswith("failed 5 times")
        assert await replay(refunds) == ["parked"]


async def test_slow_deadline_delays_no_other(embedded_toys: Toys) -> None:
    """A deadline whose statement times out is put off, and those behind it fire."""

    async def act(tx: Transaction, subject: str) -> Sequence[Event]:
        if subject == "1":
            await spoil(tx, "command timeout")
        return await write_down(tx, subject)

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

    def record(error: BaseException) -> Retry:
        tries.append(error)
        return database_errors.retry_of(error)

    async def tried_often() -> bool:
        return len(tries) >= 8

    monkeypatch.setattr(consumer, "retry_of", record)
    async with refunds.consuming():
        async with AsyncExitStack() as held:
            for _ in range(databases.POOL_SIZE):
                await held.enter_async_context(refunds.database.connection())
            monkeypatch.setattr(databases, "BUSY_TIMEOUT", 0.02)
            monkeypatch.setattr(databases, "SLICE", 0.01)
            await embedded_toys.send(message(1))
            await becomes(tried_often, True)
            monkeypatch.setattr(databases, "BUSY_TIMEOUT", 5.0)
        await becomes(refunds.effects, [1])
    assert all(isinstance(one, DatabaseUnavailable) for one in tries)
    assert await refunds.count("failures")() == 0


def test_docs_show_the_table() -> None:
    """docs/availability.md lists for each SQLSTATE what the code does."""
    rows = table("docs/availability.md", "SQLSTATE", "meaning")
    shown = [(state, retry) for states, _, retry, _ in rows[:-1] for state in named(states)]
    assert sorted(shown) == sorted((state, retry.value) for state, retry in RETRIES.items())


class ToyService:
    """A service that writes one row for each request, on a server that can be made read-only."""

    def __init__(self, toys: Toys, url: str) -> None:
        self._admin = toys.databases.admin
        self._name = urlsplit(url).path[1:]
        router = APIRouter(route_class=RetryOnConflict)

        @router.post("/refunds/things")
        async def write() -> None:
            async with self.service.uow.begin() as tx:
                tx.publish(*await write_down(tx, "1"))

        @router.get("/refunds/things")
        async def read() -> int:
            return await self.count("effects")

        self.service = whole_service(url, toys.bus("refunds"), {Counted: write_down}, router=router)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.service.app), base_url="http://localhost")

    async def write(self) -> httpx.Response:
        """The answer to a request that writes."""
        return await self.http.post("/refunds/things")

    async def turn(self, read_only: str) -> None:
        """Has new connections begin read-only transactions, or others."""
        await self._admin(f'alter database "{self._name}" set default_transaction_read_only = {read_only}')

    async def cut(self) -> None:
        """Ends all connections."""
        ends = "select pg_terminate_backend(pid) from pg_stat_activity where datname ="
        await self._admin(f"{ends} '{self._name}'")

    async def to_standby(self) -> None:
        """Has every connection that is open now lead to a read-only server, as after a failover behind one address."""
        pool: Any = self.service.uow.database._pool
        for connection in [holder._con for holder in pool._holders if holder.is_connected()]:
            while not connection.is_closed():
                try:
                    await connection.execute("set default_transaction_read_only = on")
                    break
                except asyncpg.InterfaceError:  # it is in use
                    await asyncio.sleep(0)

    async def health(self) -> dict[str, int]:
        """The status of each health route."""
        paths = ("ready", "serving", "live")
        return {path: (await self.http.get(f"/refunds/health/{path}")).status_code for path in paths}

    async def count(self, table: str) -> int:
        """How many rows there are."""
        async with self.service.uow.begin() as tx:
            rows: int = await tx.connection.fetchval(f"select count(*) from {table}")  # noqa: S608
        return rows


@pytest.fixture
async def toy_service(embedded_toys: Toys) -> AsyncIterator[ToyService]:
    """The service, which is ready."""
    made = ToyService(embedded_toys, await embedded_toys.database("refunds"))
    async with made.service.running(), made.http:
        await made.service.until_ready()
        yield made


async def test_failover_to_another_server(embedded_toys: Toys, toy_service: ToyService) -> None:
    """When the open connections lead to a server that is read-only by now, at most one request is answered 503, and the
    next ones are served over new connections, as is an event."""
    await asyncio.gather(*(toy_service.write() for _ in range(8)))
    await toy_service.to_standby()
    first = await toy_service.write()  # unless something else has met the server before
    if first.status_code != 200:
        assert (first.status_code, first.json()["code"]) == (503, "database_unavailable")
        assert int(first.headers["retry-after"]) > 0
    answers = await asyncio.gather(*(toy_service.write() for _ in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    await toy_service.to_standby()
    await embedded_toys.send(message(1))
    await becomes(partial(toy_service.count, "effects"), 8 + (first.status_code == 200) + 8 + 1)
    assert await toy_service.count("failures") == 0


async def test_read_only_database(
    embedded_toys: Toys, toy_service: ToyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing can be written the service reads, refuses writing requests with 503, and is neither ready nor
    serving; then it recovers by itself, and has lost nothing."""
    monkeypatch.setattr(databases, "WRITES_FOR", 0.0)
    monkeypatch.setattr(databases, "BETWEEN_SERVERS", 0.05)
    assert await toy_service.health() == {"ready": 200, "serving": 200, "live": 200}
    await toy_service.turn("on")
    await toy_service.cut()
    assert await toy_service.health() == {"ready": 503, "serving": 503, "live": 200}
    await embedded_toys.send(message(1))
    for _ in range(5):
        assert (await toy_service.write()).status_code == 503
        assert (await toy_service.http.get("/refunds/things")).json() == 0
    await toy_service.turn("off")
    await becomes(toy_service.health, {"ready": 200, "serving": 200, "live": 200})
    await becomes(partial(toy_service.count, "effects"), 1)
    assert (await toy_service.write()).status_code == 200
    await becomes(partial(toy_service.count, "outbox"), 0)
    assert await toy_service.count("failures") == await toy_service.count("parked") == 0


async def test_serving_does_not_need_the_broker(toy_service: ToyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the broker a service is not ready, and serves."""

    async def broker_ready() -> bool:
        return False

    monkeypatch.setitem(toy_service.service.health_checks, "broker", broker_ready)
    assert await toy_service.health() == {"ready": 503, "serving": 200, "live": 200}
