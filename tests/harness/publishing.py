"""Publishes events in the name of a service."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from runtime.messaging.bus import Bus, Message
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Envelope, Event
from runtime.observability.trace_context import TraceContext, new_id, start_context
from tests.harness.waiting import TIMEOUT


async def publish_as(
    bus: Bus,
    source: str,
    *events: Event,
    sequence: int = 1,
    event_ids: Sequence[UUID] | None = None,
    at: datetime | None = None,
    context: TraceContext | None = None,
    copies: int = 1,
) -> None:
    """Publishes events in the name of a service; on the bus in memory, returns when all consumers have handled them.

    `at` is the time of the publisher's database; each event is published `copies` times.
    """
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
    if isinstance(bus, MemoryBus):
        await publish_and_wait(bus, messages)
        return
    publisher = await bus.publisher(sorted({consumer for event in events for consumer in event.consumed_by}))
    await publisher.publish(messages)
    await publisher.close()


async def publish_and_wait(bus: MemoryBus, messages: Sequence[Message]) -> None:
    """Returns when every consumer of the messages has handled them."""
    confirmed = asyncio.Semaphore(0)
    publisher = await bus.publisher([])
    async with asyncio.timeout(TIMEOUT):
        await publisher.publish([replace(message, confirmed=confirmed.release) for message in messages])
        for _ in messages:
            await confirmed.acquire()
