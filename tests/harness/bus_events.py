"""Hearing what a service says, and saying what it hears, on a bus in memory."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from runtime.messaging.bus import Message
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Envelope, Event
from runtime.observability.trace_context import new_id, start_context
from tests.handled import publish_and_wait

TIMEOUT = 10.0
"""Seconds after which what has not happened never will."""

EventJson = dict[str, Any]
"""An envelope as JSON."""


@dataclass
class EventRecorder:
    """The events of one service, by their subject, in the order in which they came."""

    bus: MemoryBus
    queue: str
    events: dict[str, list[EventJson]] = field(default_factory=lambda: defaultdict(list))
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def listening(self, publisher: str, kinds: Sequence[type[Event]]) -> AsyncIterator["EventRecorder"]:
        """Takes the events of these kinds off a queue of its own."""
        subscription = await self.bus.subscribe(self.queue, [f"{publisher}.{kind.wire_name}" for kind in kinds])
        for other in {consumer for kind in kinds for consumer in kind.consumed_by} - {self.queue, publisher}:
            await self.bus.subscribe(other, [])  # a service waits for the queues of all who hear it

        async def listen() -> None:
            while True:
                deliveries = await subscription.take(100)
                async with self._arrived:
                    for delivery in deliveries:
                        heard = json.loads(delivery.body)
                        self.events[heard["subject"]].append(heard)
                    self._arrived.notify_all()
                await subscription.acknowledge(deliveries[-1])

        task = asyncio.create_task(listen())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await subscription.close()

    def names(self, subject: str) -> list[str]:
        """What was heard about a subject so far, by name."""
        return [heard["type"] for heard in self.events[subject]]

    def answered(self, order_id: str) -> set[str]:
        """The requests for an order's cancellation that were granted or refused, by their cancellation ids."""
        answers = {"OrderCancelled", "OrderCancelRejected"}
        return {heard["data"]["cancellation_id"] for heard in self.events[order_id] if heard["type"] in answers}

    async def wait_for(self, subject: str, name: str, times: int = 1) -> EventJson:
        """The event of this name about a subject, once it has come; the last one, if it is to come several times."""
        async with asyncio.timeout(TIMEOUT), self._arrived:
            await self._arrived.wait_for(lambda: self.names(subject).count(name) >= times)
        found = [heard for heard in self.events[subject] if heard["type"] == name]
        return found[times - 1]

    async def until(self, happened: Callable[[], bool]) -> None:
        """Waits until what was heard so far is enough."""
        async with asyncio.timeout(TIMEOUT), self._arrived:
            await self._arrived.wait_for(happened)


async def publish_as(
    bus: MemoryBus, source: str, *events: Event, sequence: int = 1, event_ids: Sequence[UUID] | None = None
) -> None:
    """Publishes events in the name of a service; returns when whoever hears them has handled them."""
    messages = []
    for number, event in enumerate(events):
        story = start_context()
        envelope = Envelope[Any](
            id=event_ids[number] if event_ids else new_id(),
            source=source,
            type=event.wire_name,
            subject=event.subject,
            time=datetime.now(UTC),
            dataschema=event.dataschema(),
            correlationid=story.correlation_id,
            causationid=story.causation_id,
            sequence=sequence + number,
            traceparent=story.traceparent,
            data=event,
        )
        messages.append(Message(f"{source}.{event.wire_name}", envelope.to_json()))
    await publish_and_wait(bus, messages)
