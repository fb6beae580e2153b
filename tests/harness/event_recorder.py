"""Records the events on a bus."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from contracts import EVENTS
from runtime.messaging.bus import Bus
from runtime.messaging.envelope import Event
from tests.harness.waiting import TIMEOUT

EventJson = dict[str, Any]
"""An envelope as JSON."""
KEYS = sorted({f"{publisher}.{event.wire_name}" for event in EVENTS for publisher in event.published_by})


@dataclass
class EventRecorder:
    """The events so far, in the order in which they came."""

    bus: Bus
    events: list[EventJson] = field(default_factory=list)
    on_event: Callable[[EventJson], Awaitable[None]] | None = None
    """Called with each event once it is recorded: stands in for the service that consumes it."""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def about(self, subject: str) -> list[EventJson]:
        """The events about a subject so far."""
        return [event for event in self.events if event["subject"] == subject]

    def names(self, subject: str) -> list[str]:
        """The names of the events about a subject so far."""
        return [event["type"] for event in self.about(subject)]

    def trace(self, correlation_id: str) -> list[EventJson]:
        """The events with this correlation id so far; they have one W3C trace id."""
        events = [event for event in self.events if event["correlationid"] == correlation_id]
        assert len({event["traceparent"].split("-")[1] for event in events}) == 1
        return events

    async def wait_for(self, subject: str, name: str, times: int = 1) -> EventJson:
        """The event of this name about a subject, once it has come; the last one, if it is to come several times."""
        await self.until(lambda: self.names(subject).count(name) >= times)
        return [event for event in self.about(subject) if event["type"] == name][times - 1]

    async def until(self, happened: Callable[[], bool]) -> None:
        """Waits until the events so far are enough."""
        async with asyncio.timeout(TIMEOUT), self._arrived:
            await self._arrived.wait_for(happened)

    async def record(self, events: list[EventJson]) -> None:
        """Adds events, and wakes those that wait for them."""
        async with self._arrived:
            self.events += events
            self._arrived.notify_all()


@asynccontextmanager
async def recording(
    bus: Bus, queue: str, keys: Sequence[str] = KEYS, recorder: EventRecorder | None = None
) -> AsyncIterator[EventRecorder]:
    """Records what comes to the queue of a service, inside the block."""
    recorder = recorder or EventRecorder(bus)
    subscription = await bus.subscribe(queue, keys)

    async def read() -> None:
        while True:
            deliveries = await subscription.take(100)
            events = [json.loads(delivery.body) for delivery in deliveries]
            await recorder.record(events)
            await subscription.acknowledge(deliveries[-1])
            if recorder.on_event:
                for event in events:
                    await recorder.on_event(event)

    task = asyncio.create_task(read())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.wait({task})
        await subscription.close()


@asynccontextmanager
async def recording_service(
    bus: Bus, queue: str, publisher: str, events: Sequence[type[Event]], recorder: EventRecorder | None = None
) -> AsyncIterator[EventRecorder]:
    """Records the events of one service on the queue of a consumer, and declares the queues of the other consumers,
    for which the service waits."""
    for other in {consumer for event in events for consumer in event.consumed_by} - {queue, publisher}:
        await bus.subscribe(other, [])
    keys = [f"{publisher}.{event.wire_name}" for event in events]
    async with recording(bus, queue, keys, recorder) as recorder:
        yield recorder
