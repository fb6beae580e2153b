"""The bus tap: a bus that reports every published event to a callback."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from runtime.messaging.bus import (
    WHOLE,
    BindingGuard,
    Bus,
    Gauge,
    Message,
    Partition,
    Publisher,
    Subscription,
    Topology,
    always,
)

OnEvent = Callable[[dict[str, Any]], object]
"""Gets an envelope as JSON."""


class BusTap:
    """Wraps a bus. An event that is published again is reported again."""

    def __init__(self, bus: Bus, on_event: OnEvent) -> None:
        self._bus = bus
        self._on_event = on_event

    async def publisher(self, queues: Sequence[str]) -> Publisher:
        return _TappedPublisher(await self._bus.publisher(queues), self._on_event)

    async def subscribe(
        self, service: str, routing_keys: Sequence[str], partition: Partition = WHOLE, guard: BindingGuard = always
    ) -> Subscription:
        return await self._bus.subscribe(service, routing_keys, partition, guard)

    async def gauge(self, *queues: str) -> Gauge:
        return await self._bus.gauge(*queues)

    async def topology(self, service: str, routing_keys: Sequence[str]) -> Topology:
        return await self._bus.topology(service, routing_keys)


class _TappedPublisher:
    def __init__(self, publisher: Publisher, on_event: OnEvent) -> None:
        self._publisher = publisher
        self._on_event = on_event

    async def publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._on_event(json.loads(message.body))
        await self._publisher.publish(messages)

    async def close(self) -> None:
        await self._publisher.close()
