"""The message bus between services: the interface of both buses, RabbitMQ and memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Message:
    """A message to publish. Publishing a `mandatory` message fails if no queue takes it."""

    routing_key: str
    body: bytes
    mandatory: bool = True
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


class Subscription(Protocol):
    """A service's subscription to its queue. Messages taken and not acknowledged are delivered again after `close`.

    Of several subscriptions to a queue, one is active and gets all messages, so that they are handled in order.
    """

    async def take(self, limit: int) -> list[Delivery]:
        """Waits for a delivery, and returns it with the others that have arrived, at most `limit`, in order."""

    async def acknowledge(self, last: Delivery) -> None:
        """Acknowledges `last` and all deliveries taken before it."""

    async def close(self) -> None:
        """Stops deliveries and closes the connection; never fails."""


class Gauge(Protocol):
    """Measures a service's queue."""

    async def waiting(self) -> int:
        """The number of messages in the queue; raises `BusError`."""

    async def close(self) -> None:
        """Closes the connection; never fails."""


class Bus(Protocol):
    """Opens publishers, subscriptions and gauges."""

    async def publisher(self, queues: Sequence[str]) -> Publisher:
        """Opens a connection for publishing; raises `BusError` until all `queues` exist and are bound."""

    async def subscribe(self, queue: str, routing_keys: Sequence[str]) -> Subscription:
        """Declares the queue of a service, binds it, and starts deliveries."""

    async def gauge(self, queue: str) -> Gauge:
        """Opens a connection for measuring the queue, which must exist."""
