"""Hearing what travels on the bus, and speaking on it as a service that does not exist yet."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from contracts import EVENTS
from contracts.orders import OrderCancelRequested
from runtime.messaging.bus import Bus, Message
from runtime.messaging.envelope import Envelope
from runtime.observability.trace_context import new_id, start_context
from tests.harness.waiting import eventually

KEYS = sorted({f"{publisher}.{event.wire_name}" for event in EVENTS for publisher in event.published_by})


class EventRecorder:
    """The events heard so far, as they travelled."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def about(self, subject: str) -> list[dict[str, Any]]:
        """The events of one order, in the order in which they came."""
        return [event for event in self.heard if event["subject"] == subject]

    async def until(self, subject: str, kind: str) -> dict[str, Any]:
        """The first event of this type about the subject, once it has been heard."""

        async def look() -> dict[str, Any] | None:
            return next((event for event in self.about(subject) if event["type"] == kind), None)

        return await eventually(look)


@asynccontextmanager
async def listening(bus: Bus) -> AsyncIterator[EventRecorder]:
    """Hears everything, on the queue of the service `web`."""
    recorder = EventRecorder()
    subscription = await bus.subscribe("web", KEYS)

    async def listen() -> None:
        while True:
            deliveries = await subscription.take(64)
            recorder.heard += [json.loads(delivery.body) for delivery in deliveries]
            await subscription.acknowledge(deliveries[-1])

    task = asyncio.create_task(listen())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.wait({task})
        await subscription.close()


async def request_cancellation(
    bus: Bus, source: str, request: OrderCancelRequested, event_id: UUID | None = None
) -> None:
    """Publishes the request as `source` (chat or cs) would."""
    story = start_context()
    envelope = Envelope[OrderCancelRequested](
        id=event_id or new_id(),
        source=source,
        type=request.wire_name,
        subject=request.subject,
        time=datetime.now(UTC),
        dataschema=request.dataschema(),
        correlationid=story.correlation_id,
        causationid=story.causation_id,
        sequence=1,
        traceparent=story.traceparent,
        data=request,
    )
    publisher = await bus.publisher(["orders"])
    await publisher.publish([Message(f"{source}.{request.wire_name}", envelope.to_json())])
    await publisher.close()
