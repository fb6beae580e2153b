"""A toy publisher and a toy consumer, made of the parts that every service is made of, each on its own database."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

from fastapi import APIRouter
from pydantic import Field

from runtime.messaging.bus import Bus, Message, Publisher
from runtime.messaging.consumer import Consumer, Handlers
from runtime.messaging.deadlines import DeadlineHandler, Deadlines, Locking
from runtime.messaging.envelope import Event
from runtime.messaging.parked import Parked, listing
from runtime.messaging.relay import Relay
from runtime.messaging.replay import Replays
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.observability.trace_context import new_id, new_traceparent
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage.database import Connection, Database, connect
from tests.conftest import BusOf, Databases
from tests.harness.waiting import becomes

MIGRATIONS = Path(__file__).parent / "migrations"
P = ParamSpec("P")
T = TypeVar("T")


class Counted(
    Event, name="Counted", version=1, subject="thing", published_by=("orders", "chat"), consumed_by=("refunds",)
):
    """Something was counted."""

    thing: str
    number: Annotated[int, Field(ge=0, strict=True)]
    note: str = ""


class Noted(Event, name="Noted", version=1, subject="thing", published_by=("refunds",)):
    """The answer to `Counted`. It has no consumer."""

    thing: str
    number: int


async def write_down(tx: Transaction, cause: Counted | str) -> list[Event]:
    """The effect of `Counted`, or of a deadline whose subject is a number; it must happen once."""
    event = cause if isinstance(cause, Counted) else Counted(thing=cause, number=int(cause))
    await tx.connection.execute(
        "insert into effects (thing, number, note) values ($1, $2, $3)", event.thing, event.number, event.note
    )
    return [Noted(thing=event.thing, number=event.number)]


class HeldHandler:
    """Writes down, and then does not return before it is released."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    async def __call__(self, tx: Transaction, cause: Counted | str) -> Sequence[Event]:
        """Handles an event or a deadline."""
        written = await write_down(tx, cause)
        self.reached.set()
        await self.released.wait()
        return written


class Toy:
    """One service, or one replica of it."""

    def __init__(
        self, service: str, url: str, bus: Bus, handlers: Handlers, deadlines: Mapping[str, DeadlineHandler | Locking]
    ):
        self.url = url
        self.bus = bus
        self.database = Database(url)
        self.uow = UnitOfWork(service, self.database)
        self.relay = Relay(service, self.database, bus, ["refunds"] if service == "orders" else [])
        self.uow.wake_relay = self.relay.wake
        self.consumer = Consumer(self.uow, bus, handlers)
        self.replays = Replays(self.uow, self.consumer)
        self.deadlines = Deadlines(self.uow, deadlines)

    async def publish(self, *numbers: int, thing: str = "a") -> None:
        """Publishes `Counted`, all of it in one transaction."""
        async with self.uow.begin() as tx:
            tx.publish(*(Counted(thing=thing, number=number) for number in numbers))

    async def call(
        self, do: Callable[Concatenate[Connection, P], Awaitable[T]], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """The result of a function that takes a connection."""
        async with self.database.connection() as connection:
            return await do(connection, *arguments, **options)

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """The first column of the rows."""
        async with self.database.connection() as connection:
            return [row[0] for row in await connection.fetch(query, *arguments)]

    async def effects(self) -> list[int]:
        """The numbers written down so far, in that order."""
        return await self.fetch("select number from effects order by place")

    async def leads(self) -> bool:
        """Whether its relay is the one that publishes, and can."""
        return self.relay._publisher is not None

    async def is_consuming(self) -> bool:
        """Whether it listens on its queue."""
        return self.consumer.connected

    @asynccontextmanager
    async def consuming(self) -> AsyncIterator[None]:
        """Runs its consumer, which listens on its queue from the beginning of the block."""
        async with running(self.consumer.run()):
            await becomes(self.is_consuming, True)
            yield

    def count(self, what: str) -> Callable[[], Awaitable[int]]:
        """Asks how many rows there are of that."""

        async def ask() -> int:
            return len(await self.fetch(f"select 1 from {what}"))  # noqa: S608

        return ask

    async def outbox(self) -> int:
        """How many events wait in the outbox."""
        return await self.count("outbox")()

    async def parked(self) -> list[Parked]:
        """The parked messages."""
        return await self.call(listing)


class Shelf:
    """Databases of toys that are done with, emptied for the next ones: faster than making them."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        self._free: dict[str, list[str]] = {}

    async def take(self, service: str) -> str:
        """The URL of an empty database."""
        free = self._free.setdefault(service, [])
        return free.pop() if free else await self.databases.migrated(service, MIGRATIONS)

    async def give_back(self, service: str, url: str) -> None:
        """Empties the database."""
        connection = await connect(url)
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and usename = current_user and pid <> pg_backend_pid()"
        )
        await connection.execute(
            "truncate outbox, inbox, event_log, failures, parked, deadlines, idempotency, event_sequence, effects "
            "restart identity"
        )
        await connection.execute("update clock set shift = interval '0', demonstration = false")
        await connection.close()
        self._free[service].append(url)


class Toys:
    """Makes toys, and closes them in the end."""

    def __init__(self, bus: BusOf, shelf: Shelf) -> None:
        self.bus = bus
        self.databases = shelf.databases
        self._shelf = shelf
        self._taken: list[tuple[str, str]] = []
        self._made: list[Toy] = []
        self._sending: list[asyncio.Task[None]] = []

    async def orders(self) -> Toy:
        """A publisher."""
        return await self.on(await self.database("orders"), "orders", {})

    async def refunds(self, handler: Callable[[Transaction, Counted], Awaitable[Sequence[Event]]] = write_down) -> Toy:
        """A toy consumer."""
        return await self.on(await self.database("refunds"), "refunds", {Counted: handler})

    async def database(self, service: str) -> str:
        """The URL of an empty database."""
        self._taken.append((service, await self._shelf.take(service)))
        return self._taken[-1][1]

    async def on(
        self,
        url: str,
        service: str,
        handlers: Handlers,
        deadlines: Mapping[str, DeadlineHandler | Locking] | None = None,
    ) -> Toy:
        """A service on that very database: a second one there is a replica."""
        toy = Toy(service, url, self.bus(service), handlers, deadlines or {})
        self._made.append(toy)
        await toy.database.connect()
        return toy

    async def send(self, *messages: Message, bus: Bus | None = None) -> None:
        """Publishes as `orders`, without an outbox, to the queue of `refunds`; waits for no confirms."""
        publisher = await (bus or self.bus("orders")).publisher(["refunds"])
        self._sending.append(asyncio.create_task(_send(publisher, messages)))

    async def aclose(self) -> None:
        """Disconnects them, and leaves nothing behind."""
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        for toy in self._made:
            await toy.database.close()
        for service, url in self._taken:
            await self._shelf.give_back(service, url)


def whole_service(
    url: str,
    bus: Bus,
    handlers: Handlers | None = None,
    *,
    name: str = "refunds",
    router: APIRouter | None = None,
    **variables: str,
) -> Service:
    """A toy as a whole service, which does not run yet; without handlers if none are given."""
    publishes: list[type[Event]] = [Counted] if name == "orders" else [Noted]
    spec = ServiceSpec("A toy.", router or APIRouter(), MIGRATIONS, publishes, handlers or {})
    return Service(Settings.read(name, Environment(variables)), Database(url), bus, Path("none"), spec)


async def _send(publisher: Publisher, messages: Sequence[Message]) -> None:
    try:
        await publisher.publish(messages)
    finally:
        await publisher.close()


def message(number: int, thing: str = "a", **changes: object) -> Message:
    """`Counted` as `orders` would publish it, with changes to its envelope."""
    envelope = {
        "specversion": "1.0",
        "id": str(new_id()),
        "source": "orders",
        "type": "Counted",
        "subject": thing,
        "time": "2025-01-31T12:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": Counted.dataschema(),
        "correlationid": str(new_id()),
        "causationid": str(new_id()),
        "sequence": 1,
        "traceparent": new_traceparent(),
        "data": {"thing": thing, "number": number, "note": ""},
    }
    return Message("orders.Counted", json.dumps(envelope | changes).encode(), subject=thing)


@asynccontextmanager
async def running(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs the loops beside the block, then stops them; one that ends earlier fails the test."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not ended, [task.exception() for task in ended if not task.cancelled()]
