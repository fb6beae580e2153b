"""Buses with injected faults."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runtime.messaging.bus import (
    WHOLE,
    BindingGuard,
    Bus,
    BusError,
    Delivery,
    Gauge,
    Message,
    Partition,
    Publisher,
    Subscription,
    Topology,
    Unroutable,
    always,
)


@dataclass
class Unreliable:
    """A bus with faults: each happens as often as its number, which is counted down."""

    bus: Bus
    refuse: int = 0
    lose_confirms: int = 0
    lose_acknowledgements: int = 0
    fail_closing: int = 0
    uncounted: bool = False
    """Whether the broker does not tell how many messages wait."""
    away: bool = False
    """Whether no connection can be opened."""
    publishers: int = 0
    """How many connections for publishing are open."""
    max_publishers: int = 0
    opened: int = 0
    """How many ever were."""
    published: list[Message] = field(default_factory=list)
    unrouted: set[str] = field(default_factory=set)
    """Routing keys that no queue takes, as if the bindings had been deleted."""
    before_acknowledging: Callable[[], Awaitable[None]] | None = None

    async def publisher(self, consumers: Sequence[str]) -> Publisher:
        """As the bus does."""
        self._check()
        publisher = _UnreliablePublisher(self, await self.bus.publisher(consumers))
        self.publishers += 1
        self.opened += 1
        self.max_publishers = max(self.max_publishers, self.publishers)
        return publisher

    async def subscribe(
        self, service: str, routing_keys: Sequence[str], partition: Partition = WHOLE, guard: BindingGuard = always
    ) -> Subscription:
        """As the bus does."""
        self._check()
        return _UnreliableSubscription(self, await self.bus.subscribe(service, routing_keys, partition, guard))

    async def gauge(self, *queues: str) -> Gauge:
        """As the bus does."""
        return await self.bus.gauge(*queues)

    async def topology(self, service: str, routing_keys: Sequence[str]) -> Topology:
        """As the bus does."""
        self._check()
        return await self.bus.topology(service, routing_keys)

    def _check(self) -> None:
        if self.away:
            raise BusError("away")

    async def faults_left(self) -> int:
        """How many faults are still to happen."""
        return self.refuse + self.lose_confirms + self.lose_acknowledgements + self.fail_closing

    def happens(self, fault: str) -> bool:
        """Whether the fault happens now."""
        left: int = getattr(self, fault)
        setattr(self, fault, max(left - 1, 0))
        return left > 0


class _UnreliablePublisher:
    def __init__(self, faults: Unreliable, publisher: Publisher) -> None:
        self._faults = faults
        self._publisher = publisher

    async def publish(self, messages: Sequence[Message]) -> None:
        if messages and self._faults.happens("refuse"):
            raise BusError("refused")
        self._faults.published += messages
        if messages and self._faults.happens("lose_confirms"):
            await self._publisher.publish([replace(message, confirmed=lambda: None) for message in messages])
            raise BusError("the confirms were lost")
        routed = [message for message in messages if message.routing_key not in self._faults.unrouted]
        await self._publisher.publish(routed)
        if len(routed) < len(messages):
            raise Unroutable([message for message in messages if message not in routed])

    async def close(self) -> None:
        self._faults.publishers -= 1
        await self._publisher.close()
        if self._faults.happens("fail_closing"):
            raise RuntimeError("closing failed")


class _UnreliableSubscription:
    def __init__(self, faults: Unreliable, subscription: Subscription) -> None:
        self._faults = faults
        self._subscription = subscription
        self.take = subscription.take

    async def waiting(self) -> Mapping[str, int]:
        if self._faults.uncounted:
            raise BusError("the broker does not answer")
        return await self._subscription.waiting()

    async def acknowledge(self, last: Delivery) -> None:
        if self._faults.before_acknowledging is not None:
            await self._faults.before_acknowledging()
        if self._faults.happens("lose_acknowledgements"):
            raise BusError("the connection broke just now")
        await self._subscription.acknowledge(last)

    async def close(self) -> None:
        await self._subscription.close()
        if self._faults.happens("fail_closing"):
            raise RuntimeError("closing failed")
