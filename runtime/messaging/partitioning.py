"""Runs the consumers of a service, one for each partition, and moves it to another number of partitions in order.

The table `partitioning` has one row, which all replicas read. They consume the partitions of `current`. To move, one
replica at a time takes the next step, under the lock of the row:

- steady: the queues of `current` get one binding for all routing keys, so that they will lose them in one moment. Then
  those of `other` are created or emptied, and bound: they get every message from now on.
- draining: the queues of `current` get no further message, and are consumed until they are empty.
- closing: no consumer runs. Once the queues of `current` have neither messages nor consumers, nothing is in flight, and
  `other` becomes `current`. The former ones stay, empty.

So an event that was published before the move is handled before all that are only in the new queues. Copies in both
have one effect, because of the inbox. Queue names overlap, so the way between two numbers above 1 leads over 1.

A broker that dies while new queues are bound may lose an unconfirmed event that only the old ones had, and keep its
successor in the new ones; one that has just started counts no messages in queues without a leader. So these two steps
take `SETTLING` seconds over one connection, and are taken again if it breaks.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from runtime.backoff import Backoff, unevenly
from runtime.messaging.bus import WHOLE, Bus, BusError, Census, Partition, Topology, partitions
from runtime.messaging.consumer import Consumer, Handlers, routing_keys
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database import Connection
from runtime.storage.database_errors import is_transient

POLL = 2.0
"""Seconds between two looks at the row."""
MOVING = 0.5
"""The same during a move."""
SETTLING = 1.5
"""Seconds within which a broker has confirmed what it got, elected the queues' leaders, and would not lose a new
queue when it is killed (see `runtime.messaging.bus.topology.empty`)."""
STEP = 60.0
"""Seconds that a step may take."""
FROZEN = 2 * STEP
"""Seconds, also much more than two heartbeats, after which nothing of a step of a frozen replica reaches the broker."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Partitioning:
    """The row: see above. `messages_left`: in the queues that are being emptied."""

    current: int
    stage: str
    other: int | None
    wanted: int
    messages_left: int

    @property
    def moves(self) -> bool:
        """Whether there is a step to take."""
        return self.stage != "steady" or self.current != self.wanted


async def read(connection: Connection, lock: str = "") -> Partitioning | None:
    """The row; None if another replica has the lock, which it loses when it is frozen for `FROZEN`."""
    if lock:
        await connection.execute(f"set local idle_in_transaction_session_timeout = '{FROZEN:.0f}s'")
    row = await connection.fetchrow(_READ + lock)
    return None if row is None else Partitioning(**row)


async def want(connection: Connection, count: int) -> None:
    """Has the running replicas move to `count` partitions."""
    await connection.execute("update partitioning set wanted = $1", count)


class Consumers:
    """One consumer for each partition of a service."""

    def __init__(self, uow: UnitOfWork, bus: Bus, handlers: Handlers, wanted: int) -> None:
        self._uow = uow
        self._bus = bus
        self._handlers = handlers
        self._wanted = wanted
        self._running: dict[Consumer, asyncio.Task[None]] = {}
        self._keys = routing_keys(handlers, uow.service)

    def consumer(self, partition: Partition = WHOLE) -> Consumer:
        """The consumer of a partition, which is not started."""
        return Consumer(self._uow, self._bus, self._handlers, partition, lambda: self._bound(partition))

    @asynccontextmanager
    async def _bound(self, partition: Partition) -> AsyncIterator[bool]:
        """Whether the queues of all partitions are bound now. During the block no step is taken: a queue that was
        unbound, and is bound again, would lack the messages in between, and get later ones before them."""
        locked = False
        try:
            async with self._uow.database.transaction() as connection:
                state = await read(connection, "for share")
                locked = True
                yield state is not None and state.current == partition.count and state.stage == "steady"
        except Exception as error:
            if locked or not is_transient(error):
                raise
            yield False

    @property
    def connected(self) -> bool:
        """Whether every partition has a subscription."""
        return bool(self._running) and all(consumer.connected for consumer in self._running)

    async def waiting(self) -> list[tuple[str, int]]:
        """The names of the queues, and how many messages wait there."""
        return [row for consumer in tuple(self._running) for row in await consumer.waiting()]

    def queues(self) -> list[str]:
        """The names of the queues that are consumed now."""
        return [partition.queue(self._uow.service) for partition in partitions(len(self._running))]

    async def run(self) -> None:
        """Consumes until it is cancelled, and finishes the current batches then."""
        database, bus = Backoff("PostgreSQL, for the partitions", log), Backoff("RabbitMQ, to move partitions", log)
        asked = False
        try:
            while True:
                try:
                    if not asked:
                        async with self._uow.database.connection() as connection:
                            await want(connection, self._wanted)
                        asked = True
                    state = await self._state()
                    await self._follow(state)
                    database.reset()
                    bus.reset()
                    await asyncio.sleep(unevenly(MOVING if state.moves else POLL))
                except BusError as error:
                    await bus.wait(error)
                except Exception as error:
                    if not is_transient(error):
                        raise
                    await database.wait(error)
        finally:
            await self._stop()

    async def _state(self) -> Partitioning:
        """The row, after a step if one is to be taken and this replica has the lock."""
        async with self._uow.database.connection() as connection:
            state = await read(connection)
        assert state is not None
        if not state.moves or (state.stage == "closing" and self._running):
            return state
        async with self._uow.database.transaction() as connection:
            locked = await read(connection, "for no key update skip locked")
            if locked is None or not locked.moves:
                return state
            topology = await self._bus.topology(self._uow.service, self._keys)
            try:
                await connection.execute("select")  # fails if the lock was lost before this connection was opened
                async with asyncio.timeout(STEP):
                    after = await _step(topology, locked)
            except TimeoutError as error:
                raise BusError(f"a step of the move took more than {STEP:.0f} s") from error
            finally:
                await topology.close()
            await connection.execute(_UPDATE, after.current, after.stage, after.other, after.messages_left)
        if after.stage != locked.stage:
            log.info("moving from %d to %d partitions: %s", locked.current, locked.wanted, after.stage)
        return after

    async def _follow(self, state: Partitioning) -> None:
        """Starts and stops consumers, so that they are those of the state."""
        count = 0 if state.stage == "closing" else state.current
        if len(self._running) != count:
            await self._stop()
            for partition in partitions(count):
                consumer = self.consumer(partition)
                self._running[consumer] = asyncio.create_task(consumer.run())
        for task in self._running.values():
            if task.done():
                task.result()
                raise RuntimeError("a consumer has ended")

    async def _stop(self) -> None:
        running, self._running = self._running, {}
        for task in running.values():
            task.cancel()
        if running:
            await asyncio.wait(running.values())


async def _step(topology: Topology, state: Partitioning) -> Partitioning:
    """Takes the next step of a move; returns the state after it."""
    current, other = state.current, state.other or 0
    if state.stage == "steady":
        other = 1 if current > 1 else state.wanted
        await topology.unite(current)  # first: what only the others had would be lost when they are emptied again
        await topology.empty(other)
        await topology.declare(other)
        await asyncio.sleep(SETTLING)
        await topology.census(current)  # fails if the broker has died meanwhile
        return replace(state, stage="draining", other=other)
    await topology.declare(other)  # what was deleted meanwhile
    await topology.unbind(current)
    found = [await topology.census(current)]
    if state.stage == "closing" and found == [Census(0, 0)]:
        await asyncio.sleep(SETTLING)
        found.append(await topology.census(current))
    if waiting := max(census.waiting for census in found):  # in closing: returned by a consumer amid a batch
        return replace(state, stage="draining", messages_left=waiting)
    if state.stage == "draining":
        return replace(state, stage="closing", messages_left=0)
    if any(census.consumers for census in found):
        return state
    return replace(state, stage="steady", current=other, other=None)


_READ = "select * from partitioning "
_UPDATE = "update partitioning set current = $1, stage = $2, other = $3, messages_left = $4"
