"""Carrying messages between services: what the two buses, RabbitMQ and in memory, have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Message:
    """Something to publish. A `mandatory` one must reach a queue, or publishing it fails."""

    routing_key: str
    body: bytes
    mandatory: bool = True
    settled: Callable[[], object] = field(default=lambda: None, compare=False)
    """Called once its publisher need not keep it any longer: a broker with a disk has it, or whoever hears it is done
    with it."""


@dataclass(frozen=True)
class Delivery:
    """A message as one consumer got it. `tag` counts up within a subscription."""

    tag: int
    routing_key: str
    body: bytes
    earlier: int
    """How often it was delivered before without being acknowledged."""


class BusError(Exception):
    """The bus is away or refused; nothing is known of what was in flight. Connect anew and try again."""


class Unroutable(BusError):
    """Mandatory messages reached no queue; the others were published. They are kept and tried again: an alarm, not a
    loss."""

    def __init__(self, messages: Sequence[Message]) -> None:
        super().__init__(f"no queue takes {', '.join(sorted({message.routing_key for message in messages}))}")
        self.messages = messages


class Publisher(Protocol):
    """One connection for publishing."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns once every message is in its queues; raises `Unroutable` when that holds for all but some that have
        none, and any other `BusError` when one may not have arrived. Each says by itself when it is settled.

        Publishing nothing tells, with a `BusError`, that the connection is lost.
        """

    async def close(self) -> None:
        """Closes the connection; never fails."""


class Subscription(Protocol):
    """One service's hold on its queue. What was taken and not acknowledged is delivered again after `close`.

    Of several on one queue, one gets all the messages, so that they are handled in order; the next takes its place.
    """

    async def take(self, limit: int) -> list[Delivery]:
        """Waits for a delivery, and returns it with what else has arrived, `limit` at the most, in order."""

    async def acknowledge(self, last: Delivery) -> None:
        """Marks `last`, and all that was taken before it, as done with."""

    async def close(self) -> None:
        """Stops deliveries and closes the connection; never fails."""


class Gauge(Protocol):
    """Looks at one service's queue."""

    async def waiting(self) -> int:
        """How many messages wait to be taken; raises `BusError`."""

    async def close(self) -> None:
        """Closes the connection; never fails."""


class Bus(Protocol):
    """Where publishers and subscriptions come from."""

    async def publisher(self, queues: Sequence[str]) -> Publisher:
        """Opens a connection for publishing; raises `BusError` until each of `queues` is there and bound."""

    async def subscribe(self, queue: str, routing_keys: Sequence[str]) -> Subscription:
        """Declares the queue of a service, binds it, and starts deliveries."""

    async def gauge(self, queue: str) -> Gauge:
        """Opens a connection for looking at the queue, which must be there."""
