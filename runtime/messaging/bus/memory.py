"""The bus inside one process.

It behaves as RabbitMQ does, with one difference, because it has no disk: a message is confirmed only once every queue
that received a copy has acknowledged it. Until then it stays in its publisher's outbox, so that a crash loses nothing.
Neither the publisher nor later messages wait for that.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.messaging.bus import BusError, Delivery, Gauge, Message, Publisher, Subscription, Unroutable

DELIVERY_LIMIT = 1000


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
    routing_keys: set[str] = field(default_factory=set)
    waiting: deque[_Copy] = field(default_factory=deque)
    dead: list[Message] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    subscriptions: list["_MemorySubscription"] = field(default_factory=list)
    """The first one gets the messages, the others stand by."""

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

    async def publisher(self, queues: Sequence[str]) -> Publisher:
        missing = [name for name in queues if name not in self.queues]
        if missing:
            raise BusError(f"waiting for the queues {', '.join(missing)}")
        return _MemoryPublisher(self)

    async def subscribe(self, queue: str, routing_keys: Sequence[str]) -> Subscription:
        held = self.queues.setdefault(queue, _Queue())
        held.routing_keys.update(routing_keys)
        return _MemorySubscription(held)

    async def gauge(self, queue: str) -> Gauge:
        if queue not in self.queues:
            raise BusError(f"there is no queue {queue}")
        return _MemoryGauge(self.queues[queue])


@dataclass
class _MemoryPublisher:
    bus: MemoryBus

    async def publish(self, messages: Sequence[Message]) -> None:
        nowhere: list[Message] = []
        for message in messages:
            queues = [queue for queue in self.bus.queues.values() if message.routing_key in queue.routing_keys]
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
    def __init__(self, queue: _Queue) -> None:
        self._queue = queue
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
    queue: _Queue

    async def waiting(self) -> int:
        return len(self.queue.waiting)

    async def close(self) -> None:
        return None
