"""The instrumented bus: it is observed, and can be switched off."""

from collections.abc import Sequence
from dataclasses import replace
from time import time

from runtime.demo.recorder import DemoObserver, taken_at
from runtime.demo.switches import FaultSwitchboard
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


class SwitchedBus:
    """Wraps a bus: records what is published, and has no connections while it is switched off."""

    def __init__(self, bus: Bus, board: FaultSwitchboard, observer: DemoObserver) -> None:
        self._bus = bus
        self._board = board
        self._observer = observer

    async def publisher(self, consumers: Sequence[str]) -> Publisher:
        await self._board.until("connected")
        return _SwitchedPublisher(await self._bus.publisher(consumers), self._board, self._observer)

    async def subscribe(
        self, service: str, routing_keys: Sequence[str], partition: Partition = WHOLE, guard: BindingGuard = always
    ) -> Subscription:
        await self._board.until("connected", "consuming")
        subscription = await self._bus.subscribe(service, routing_keys, partition, guard)
        return _SwitchedSubscription(subscription, self._board, self._observer)

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
    def __init__(self, subscription: Subscription, board: FaultSwitchboard, observer: DemoObserver) -> None:
        self._subscription = subscription
        self._board = board
        self._observer = observer
        self._taken: list[Delivery] = []
        self._again: list[Delivery] = []
        """Handled and not acknowledged: to be delivered again."""
        self.waiting = subscription.waiting
        self.close = subscription.close

    async def take(self, limit: int) -> list[Delivery]:
        self._taken, self._again = self._again, []
        if not self._taken:
            self._taken = await self._board.during(self._subscription.take(limit), "connected", "consuming")
        taken_at.set(time())
        return list(self._taken)

    async def acknowledge(self, last: Delivery) -> None:
        done = [one for one in self._taken if one.tag <= last.tag]
        self._taken = self._taken[len(done) :]
        if not last.earlier and not self._board.on("acknowledging"):
            self._observer.lost(done)
            raise BusError("lost between commit and acknowledgement, for demonstration")
        # An acknowledgement covers all earlier deliveries: once one is held back, those behind it are, too.
        if self._again or (not last.earlier and not self._board.on("once")):
            self._again += [replace(one, earlier=one.earlier + 1) for one in done]
            return
        await self._board.during(self._subscription.acknowledge(last), "connected")
