"""The bus inside one process.

It behaves as RabbitMQ does, with one difference, because it has no disk: a message is confirmed only once every queue
that received a copy has acknowledged it. Until then it stays in its publisher's outbox, so that a crash loses nothing.
Neither the publisher nor later messages wait for that.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runtime.messaging.bus import (
    DELIVERY_LIMIT,
    WHOLE,
    BindingGuard,
    BusError,
    Census,
    Delivery,
    Gauge,
    Message,
    Partition,
    Publisher,
    Subscription,
    Topology,
    Unroutable,
    always,
    partitions,
)

STARTING_TOGETHER = 0.5
"""Seconds that a publisher waits for the queues of the other services of its process."""


@dataclass
class _Copies:
    """The copies of one message that are not acknowledged yet."""

    message: Message
    left: int

    def one_done(self) -> None:
        self.left -= 1
        if not self.left:
            self.message.confirmed()


@dataclass
class _Copy:
    message: Message
    copies: _Copies
    deliveries: int = 0


@dataclass
class _Queue:
    partition: Partition = WHOLE
    routing_keys: set[str] = field(default_factory=set)
    waiting: deque[_Copy] = field(default_factory=deque)
    dead: list[Message] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    subscriptions: list["_MemorySubscription"] = field(default_factory=list)
    """The first one gets the messages, the others stand by."""

    def takes(self, message: Message) -> bool:
        """Whether the queue gets a copy of the message."""
        hashed = zlib.crc32(message.subject.encode()) % self.partition.count
        return message.routing_key in self.routing_keys and hashed == self.partition.index

    def put_back(self, copies: Sequence[_Copy]) -> None:
        for copy in reversed(copies):
            if copy.deliveries > DELIVERY_LIMIT:
                self.dead.append(copy.message)
                copy.copies.one_done()
            else:
                self.waiting.appendleft(copy)
        if self.waiting:
            self.arrived.set()


class MemoryBus:
    """A broker in this process: share one instance between the services."""

    def __init__(self) -> None:
        self.queues: dict[str, _Queue] = {}

    async def publisher(self, consumers: Sequence[str]) -> Publisher:
        try:
            async with asyncio.timeout(STARTING_TOGETHER):
                while self._missing(consumers):
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise BusError(f"waiting for the queues {', '.join(self._missing(consumers))}") from None
        return _MemoryPublisher(self)

    def _missing(self, consumers: Sequence[str]) -> list[str]:
        known = {name.partition(".")[0] for name in self.queues}
        return [name for name in consumers if name not in known]

    async def subscribe(
        self, service: str, routing_keys: Sequence[str], partition: Partition = WHOLE, guard: BindingGuard = always
    ) -> Subscription:
        async with guard() as allowed:
            keys = routing_keys if allowed and not partition.index else []
            await _MemoryTopology(self, service, keys).declare(partition.count)
        return _MemorySubscription(self.queues[partition.queue(service)], service)

    async def gauge(self, *queues: str) -> Gauge:
        gauge = _MemoryGauge(self, queues)
        await gauge.waiting()
        return gauge

    async def topology(self, service: str, routing_keys: Sequence[str]) -> Topology:
        return _MemoryTopology(self, service, routing_keys)


@dataclass
class _MemoryPublisher:
    bus: MemoryBus

    async def publish(self, messages: Sequence[Message]) -> None:
        nowhere: list[Message] = []
        for message in messages:
            queues = [queue for queue in self.bus.queues.values() if queue.takes(message)]
            if not queues and message.mandatory:
                nowhere.append(message)
            elif not queues:
                message.confirmed()
            copies = _Copies(message, len(queues))
            for queue in queues:
                queue.waiting.append(_Copy(Message(message.routing_key, bytes(message.body)), copies))
                queue.arrived.set()
        if nowhere:
            raise Unroutable(nowhere)

    async def close(self) -> None:
        return None


class _MemorySubscription:
    def __init__(self, queue: _Queue, service: str) -> None:
        self._queue = queue
        self._service = service
        queue.subscriptions.append(self)
        self._taken: deque[tuple[int, _Copy]] = deque()
        self._tag = 0
        self._closed = False

    async def take(self, limit: int) -> list[Delivery]:
        queue = self._queue
        while not self._closed and (not queue.waiting or queue.subscriptions[0] is not self):
            queue.arrived.clear()
            await queue.arrived.wait()
        self._check()
        deliveries: list[Delivery] = []
        while queue.waiting and len(deliveries) < limit:
            copy = queue.waiting.popleft()
            self._tag += 1
            self._taken.append((self._tag, copy))
            deliveries.append(Delivery(self._tag, copy.message.routing_key, copy.message.body, copy.deliveries))
            copy.deliveries += 1
        return deliveries

    async def acknowledge(self, last: Delivery) -> None:
        self._check()
        while self._taken and self._taken[0][0] <= last.tag:
            _, copy = self._taken.popleft()
            copy.copies.one_done()

    async def waiting(self) -> Mapping[str, int]:
        partition = self._queue.partition
        dead = {} if partition.index else {f"{self._service}.dead": len(self._queue.dead)}
        return {partition.queue(self._service): len(self._queue.waiting), **dead}

    def _check(self) -> None:
        if self._closed:
            raise BusError("the subscription was closed")

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue.subscriptions.remove(self)
        self._queue.put_back([copy for _, copy in self._taken])
        self._taken.clear()
        self._queue.arrived.set()


@dataclass
class _MemoryGauge:
    bus: MemoryBus
    names: Sequence[str]

    async def waiting(self) -> int:
        if missing := set(self.names) - set(self.bus.queues):
            raise BusError(f"there is no queue {', '.join(sorted(missing))}")
        return sum(len(self.bus.queues[name].waiting) for name in self.names)

    async def close(self) -> None:
        return None


@dataclass
class _MemoryTopology:
    bus: MemoryBus
    service: str
    routing_keys: Sequence[str]

    async def declare(self, count: int) -> None:
        for partition in partitions(count):
            queue = self.bus.queues.setdefault(partition.queue(self.service), _Queue())
            queue.partition = partition
            queue.routing_keys.update(self.routing_keys)

    async def unite(self, count: int) -> None:
        pass

    async def unbind(self, count: int) -> None:
        for queue in self._queues(count):
            queue.routing_keys.clear()

    async def census(self, count: int) -> Census:
        queues = self._queues(count)
        return Census(sum(len(one.waiting) for one in queues), sum(len(one.subscriptions) for one in queues))

    async def empty(self, count: int) -> None:
        await self.unbind(count)
        for queue in self._queues(count):
            while queue.waiting:
                queue.waiting.pop().copies.one_done()

    def _queues(self, count: int) -> list[_Queue]:
        names = [partition.queue(self.service) for partition in partitions(count)]
        return [self.bus.queues[name] for name in names if name in self.bus.queues]

    async def close(self) -> None:
        return None
