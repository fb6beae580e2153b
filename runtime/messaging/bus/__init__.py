"""The message bus between services: the interface of both buses, RabbitMQ and memory."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Message:
    """A message to publish. Publishing a `mandatory` message fails if no queue takes it."""

    routing_key: str
    body: bytes
    mandatory: bool = True
    subject: str = ""
    """The events of a subject are handled in order: a partitioned service gets all of them in one partition."""
    confirmed: Callable[[], object] = field(default=lambda: None, compare=False)
    """Called once the publisher may delete it: a broker with a disk has stored it, or all consumers have
    acknowledged it."""


@dataclass(frozen=True)
class Delivery:
    """A message as a consumer receives it. `tag` counts up within a subscription."""

    tag: int
    routing_key: str
    body: bytes
    earlier: int
    """The number of earlier deliveries without an acknowledgement."""


class BusError(Exception):
    """The bus is away, or refused. The outcome of what was in flight is unknown: connect again and retry."""


class Unroutable(BusError):
    """Mandatory messages reached no queue; the others were published. The relay keeps them and tries again: an alarm,
    not a loss."""

    def __init__(self, messages: Sequence[Message]) -> None:
        super().__init__(f"no queue takes {', '.join(sorted({message.routing_key for message in messages}))}")
        self.messages = messages


class Publisher(Protocol):
    """One connection for publishing."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns once every message is in its queues. Raises `Unroutable` when some have no queue and all others are
        in theirs, and any other `BusError` when one may not have arrived. Calls `confirmed` of each message.

        With no messages it checks the connection; raises `BusError` if that is lost.
        """

    async def close(self) -> None:
        """Closes the connection; never fails."""


@dataclass(frozen=True)
class Partition:
    """A part of a service's messages: the subjects that hash to `index`, of 0 to `count` - 1."""

    index: int = 0
    count: int = 1

    def queue(self, service: str) -> str:
        """The name of its queue; a service without partitions has one queue under its own name."""
        return service if self.count == 1 else f"{service}.{self.index}"


WHOLE = Partition()
DELIVERY_LIMIT = 1000
"""Deliveries of a message, after which its queue sets it aside. High, because a crash counts for all prefetched
messages, and the message that causes crashes is parked long before (see `runtime.messaging.consumer`). A service that
crashes on every message crashes `PREFETCH` times before the last one's turn."""


def partitions(count: int) -> list[Partition]:
    """All partitions of a service that has `count`."""
    return [Partition(index, count) for index in range(count)]


BindingGuard = Callable[[], AbstractAsyncContextManager[bool]]
"""Opens a block in which queues may be bound, if it yields True."""


@asynccontextmanager
async def always() -> AsyncIterator[bool]:
    """Binds at any time."""
    yield True


class Subscription(Protocol):
    """A subscription to a partition. Messages taken and not acknowledged are delivered again after `close`.

    Of several subscriptions to a partition, one is active and gets all messages, so that they are handled in order.
    """

    async def take(self, limit: int) -> list[Delivery]:
        """Waits for a delivery, and returns it with the others that have arrived, at most `limit`, in order."""

    async def acknowledge(self, last: Delivery) -> None:
        """Acknowledges `last` and all deliveries taken before it."""

    async def waiting(self) -> Mapping[str, int]:
        """The number of messages in the partition's queue and, with the first partition, in the dead-letter queue, by
        their names; without those in the hands of a consumer. Raises `BusError`."""

    async def close(self) -> None:
        """Stops deliveries and closes the connection; never fails."""


class Gauge(Protocol):
    """Measures queues."""

    async def waiting(self) -> int:
        """The number of messages in the queues; raises `BusError`."""

    async def close(self) -> None:
        """Closes the connection; never fails."""


@dataclass(frozen=True)
class Census:
    """What is in the queues of a service: `waiting` messages, not counting those in a consumer's hands."""

    waiting: int
    consumers: int


class Topology(Protocol):
    """Changes the queues of a service, which moves to another number of partitions. Every call may be repeated."""

    async def declare(self, count: int) -> None:
        """Declares the queues of `count` partitions. From now on they get all messages."""

    async def unite(self, count: int) -> None:
        """Prepares `unbind`, which then takes all routing keys from these queues in one moment. Else a queue that has
        lost the key of an event could still get a later event of the same subject."""

    async def unbind(self, count: int) -> None:
        """These queues get no further message."""

    async def census(self, count: int) -> Census:
        """Counts these queues' messages and consumers; raises `BusError` unless all exist and answer."""

    async def empty(self, count: int) -> None:
        """These queues get no further message, and lose those that they have."""

    async def close(self) -> None:
        """Closes the connection; never fails."""


class Bus(Protocol):
    """Opens publishers, subscriptions, gauges and topologies."""

    async def publisher(self, consumers: Sequence[str]) -> Publisher:
        """Opens a connection for publishing; raises `BusError` until the queues of these services
        exist and are bound."""

    async def subscribe(
        self, service: str, routing_keys: Sequence[str], partition: Partition = WHOLE, guard: BindingGuard = always
    ) -> Subscription:
        """Declares the queues of a service, binds them if `guard` allows it, and starts the deliveries of a partition.
        The subscription to the first partition binds them again from time to time."""

    async def gauge(self, *queues: str) -> Gauge:
        """Opens a connection for measuring the queues, which must exist."""

    async def topology(self, service: str, routing_keys: Sequence[str]) -> Topology:
        """Opens a connection for changing the queues of a service."""
