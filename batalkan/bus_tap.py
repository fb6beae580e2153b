"""The bus tap: a bus that reports every published event to a callback."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from runtime.messaging.bus import Bus, Gauge, Message, Publisher, Subscription

OnEvent = Callable[[dict[str, Any]], object]
"""Gets an envelope as JSON."""


class BusTap:
    """Wraps a bus. An event that is published again is reported again."""

    def __init__(self, bus: Bus, on_event: OnEvent) -> None:
        self._bus = bus
        self._on_event = on_event

    async def publisher(self, queues: Sequence[str]) -> Publisher:
        return _TappedPublisher(await self._bus.publisher(queues), self._on_event)

    async def subscribe(self, queue: str, routing_keys: Sequence[str]) -> Subscription:
        return await self._bus.subscribe(queue, routing_keys)

    async def gauge(self, queue: str) -> Gauge:
        return await self._bus.gauge(queue)


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
