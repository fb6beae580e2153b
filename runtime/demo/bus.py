"""The instrumented bus: it is observed, and can be switched off."""

from collections.abc import Sequence
from time import time

from runtime.demo.recorder import DemoObserver, taken_at
from runtime.demo.switches import FaultSwitchboard
from runtime.messaging.bus import (
    WHOLE,
    BindingGuard,
    Bus,
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


class SwitchedBus:
    """Wraps a bus: records what is published, and has no connections while it is switched off."""

    def __init__(self, bus: Bus, board: FaultSwitchboard, observer: DemoObserver) -> None:
        self._bus = bus
        self._board = board
        self._observer = observer

    async def publisher(self, queues: Sequence[str]) -> Publisher:
        await self._board.until("connected")
        return _SwitchedPublisher(await self._bus.publisher(queues), self._board, self._observer)

    async def subscribe(
        self, service: str, routing_keys: Sequence[str], partition: Partition = WHOLE, guard: BindingGuard = always
    ) -> Subscription:
        await self._board.until("connected", "consuming")
        return _SwitchedSubscription(await self._bus.subscribe(service, routing_keys, partition, guard), self._board)

    async def gauge(self, *queues: str) -> Gauge:
        return await self._board.during(self._bus.gauge(*queues), "connected")

    async def topology(self, service: str, routing_keys: Sequence[str]) -> Topology:
        return await self._board.during(self._bus.topology(service, routing_keys), "connected")


class _SwitchedPublisher:
    def __init__(self, publisher: Publisher, board: FaultSwitchboard, observer: DemoObserver) -> None:
        self._publisher = publisher
        self._board = board
        self._observer = observer
        self.close = publisher.close

    async def publish(self, messages: Sequence[Message]) -> None:
        if self._board.on("connected"):
            self._observer.sent(messages)
        try:
            await self._board.during(self._publisher.publish(messages), "connected")
        except Unroutable as error:
            self._observer.confirmed([message for message in messages if message not in error.messages])
            raise
        self._observer.confirmed(messages)


class _SwitchedSubscription:
    def __init__(self, subscription: Subscription, board: FaultSwitchboard) -> None:
        self._subscription = subscription
        self._board = board
        self.waiting = subscription.waiting
        self.close = subscription.close

    async def take(self, limit: int) -> list[Delivery]:
        deliveries = await self._board.during(self._subscription.take(limit), "connected", "consuming")
        taken_at.set(time())
        return deliveries

    async def acknowledge(self, last: Delivery) -> None:
        await self._board.during(self._subscription.acknowledge(last), "connected")
