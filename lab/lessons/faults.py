"""The faults that lessons need. They are patched into this process, so that the product contains none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

from runtime.messaging.bus import BusError, Message
from runtime.messaging.bus.memory import MemoryBus, _MemoryPublisher
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction
from runtime.storage import database
from runtime.storage.database import Connection, Database
from services.orders import handlers


@contextmanager
def crash_after_commit(service: str) -> Iterator[asyncio.Event]:
    """Inside the block nothing follows the next commit of the service: its task stands still there until it is
    cancelled, and nothing is published any more. The event is set then."""
    transaction, write, publish = Database.transaction, Transaction.write, _MemoryPublisher.publish
    crashed = asyncio.Event()

    async def crash() -> None:
        if not crashed.is_set():
            crashed.set()
            await asyncio.Future()

    @asynccontextmanager
    async def crashing(self: Database) -> AsyncIterator[Connection]:
        async with transaction(self) as connection:
            yield connection
            writes = await connection.fetchval("select pg_current_xact_id_if_assigned() is not null")
        if writes and f"/{service}?" in self.url:
            await crash()

    async def crashing_write(self: Transaction, change: str, *arguments: object) -> Any:
        value = await write(self, change, *arguments)
        if self.service == service and not self.connection.is_in_transaction():
            await crash()
        return value

    async def silent(self: _MemoryPublisher, messages: Sequence[Message]) -> None:
        if crashed.is_set():
            await asyncio.Future()
        await publish(self, messages)

    with (
        patch.object(Database, "transaction", crashing),
        patch.object(Transaction, "write", crashing_write),
        patch.object(_MemoryPublisher, "publish", silent),
    ):
        yield crashed


@contextmanager
def recorded() -> Iterator[list[Message]]:
    """Inside the block all published messages are added to the list."""
    publish, messages = _MemoryPublisher.publish, list[Message]()

    async def recording(self: _MemoryPublisher, published: Sequence[Message]) -> None:
        messages.extend(published)
        await publish(self, published)

    with patch.object(_MemoryPublisher, "publish", recording):
        yield messages


@contextmanager
def slow_at_orders(event: type[Event]) -> Iterator[asyncio.Event]:
    """Services that start inside the block handle these events at `orders` only once the event is set."""
    handle: Any = handlers.HANDLERS[event]
    released = asyncio.Event()

    async def slow(tx: Transaction, data: Event) -> Sequence[Event]:
        await released.wait()
        answered: Sequence[Event] = await handle(tx, data)
        return answered

    with patch.dict(handlers.HANDLERS, {event: slow}):
        yield released


class Outage:
    """The broker is away while `on`: connections break, attempts to connect are counted and fail."""

    def __init__(self) -> None:
        self.on = False
        self.attempts = self.sessions = 0
        """Of services to connect to the broker, and the connections to PostgreSQL that their relays opened for it."""

    async def begin(self, bus: MemoryBus) -> None:
        """Breaks all connections."""
        self.on = True
        for queue in bus.queues.values():
            for subscription in list(queue.subscriptions):
                await subscription.close()

    def _failing(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def failing(*given: Any, **more: Any) -> Any:
            if self.on:
                self.attempts += 1
                raise BusError("the broker is away")
            return await call(*given, **more)

        return failing

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Inside the block the broker can go away."""

        async def counting(*given: Any, **more: Any) -> Any:
            self.sessions += self.on
            return await database.connect(*given, **more)

        with (
            patch.object(MemoryBus, "publisher", self._failing(MemoryBus.publisher)),
            patch.object(MemoryBus, "subscribe", self._failing(MemoryBus.subscribe)),
            patch.object(_MemoryPublisher, "publish", self._failing(_MemoryPublisher.publish)),
            patch("runtime.messaging.relay.connect", counting),
        ):
            yield
