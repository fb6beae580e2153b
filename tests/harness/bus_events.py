"""Records the events of a service, and publishes in the name of others, on a bus in memory."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from runtime.messaging.bus import Message
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Envelope, Event
from runtime.observability.trace_context import TraceContext, new_id, start_context
from tests.handled import publish_and_wait

TIMEOUT = 20.0
"""Seconds after which a test gives up."""

EventJson = dict[str, Any]
"""An envelope as JSON."""


@dataclass
class EventRecorder:
    """The events of one service, by their subject, in the order in which they came."""

    bus: MemoryBus
    queue: str
    events: dict[str, list[EventJson]] = field(default_factory=lambda: defaultdict(list))
    on_event: Callable[[EventJson], Awaitable[None]] | None = None
    """Called with each event once it is recorded: stands in for the service that consumes it."""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def listening(self, publisher: str, kinds: Sequence[type[Event]]) -> AsyncIterator["EventRecorder"]:
        """Takes the events of these kinds off a queue of its own."""
        subscription = await self.bus.subscribe(self.queue, [f"{publisher}.{kind.wire_name}" for kind in kinds])
        for other in {consumer for kind in kinds for consumer in kind.consumed_by} - {self.queue, publisher}:
            await self.bus.subscribe(other, [])  # a service waits for the queues of all its consumers

        async def listen() -> None:
            while True:
                deliveries = await subscription.take(100)
                events = [json.loads(delivery.body) for delivery in deliveries]
                async with self._arrived:
                    for event in events:
                        self.events[event["subject"]].append(event)
                    self._arrived.notify_all()
                await subscription.acknowledge(deliveries[-1])
                if self.on_event:
                    for event in events:
                        await self.on_event(event)

        task = asyncio.create_task(listen())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await subscription.close()

    def names(self, subject: str) -> list[str]:
        """The types of the events of a subject so far."""
        return [event["type"] for event in self.events[subject]]

    def answered(self, order_id: str) -> set[str]:
        """The requests for an order's cancellation that were granted or refused, by their cancellation ids."""
        answers = {"OrderCancelled", "OrderCancelRejected"}
        return {event["data"]["cancellation_id"] for event in self.events[order_id] if event["type"] in answers}

    async def wait_for(self, subject: str, name: str, times: int = 1) -> EventJson:
        """The event of this type about a subject, once it has arrived `times` times."""
        async with asyncio.timeout(TIMEOUT), self._arrived:
            await self._arrived.wait_for(lambda: self.names(subject).count(name) >= times)
        found = [event for event in self.events[subject] if event["type"] == name]
        return found[times - 1]

    async def until(self, happened: Callable[[], bool]) -> None:
        """Waits until the events so far are enough."""
        async with asyncio.timeout(TIMEOUT), self._arrived:
            await self._arrived.wait_for(happened)


async def publish_as(
    bus: MemoryBus,
    source: str,
    *events: Event,
    sequence: int = 1,
    event_ids: Sequence[UUID] | None = None,
    at: datetime | None = None,
    context: TraceContext | None = None,
    copies: int = 1,
) -> None:
    """Publishes events in the name of a service; returns when their consumers have handled them. `at` is the time of
    the publisher's database; `copies` says how often each event is delivered."""
    messages = []
    for number, event in enumerate(events):
        trace = context or start_context()
        envelope = Envelope[Any](
            id=event_ids[number] if event_ids else new_id(),
            source=source,
            type=event.wire_name,
            subject=event.subject,
            time=at or datetime.now(UTC),
            dataschema=event.dataschema(),
            correlationid=trace.correlation_id,
            causationid=trace.causation_id,
            sequence=sequence + number,
            traceparent=trace.traceparent,
            data=event,
        )
        messages += [Message(f"{source}.{event.wire_name}", envelope.to_json())] * copies
    await publish_and_wait(bus, messages)
