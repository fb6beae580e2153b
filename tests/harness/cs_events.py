"""Hearing what `cs` says, and saying what it hears, on a bus in memory."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from contracts.orders import OrderCancelled, OrderCancelRejected, OrderCancelRequested, RejectionCode
from contracts.words import Channel, Fault
from runtime.messaging.bus import Message
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Envelope, Event
from runtime.observability.trace_context import TraceContext, new_id, start_context
from tests.handled import publish_and_wait

TIMEOUT = 20.0
"""Seconds after which what has not happened never will."""

EventJson = dict[str, Any]
"""An envelope as JSON."""


class EventPublisher:
    """Says things in the name of other services, in the order of their subjects."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self._sequences: dict[tuple[str, str], int] = defaultdict(int)

    async def publish_as(
        self,
        source: str,
        event: Event,
        *,
        at: datetime | None = None,
        story: TraceContext | None = None,
        twice: bool = False,
    ) -> None:
        """Publishes an event; returns when it has been handled. `at` is the time of its publisher's database."""
        self._sequences[source, event.subject] += 1
        story = story or start_context()
        envelope = Envelope[Any](
            id=new_id(),
            source=source,
            type=event.wire_name,
            subject=event.subject,
            time=at or datetime.now(UTC),
            dataschema=event.dataschema(),
            correlationid=story.correlation_id,
            causationid=story.causation_id,
            sequence=self._sequences[source, event.subject],
            traceparent=story.traceparent,
            data=event,
        )
        message = Message(f"{source}.{event.wire_name}", envelope.to_json(), mandatory=False)
        await publish_and_wait(self.bus, [message] * (2 if twice else 1))


class EventRecorder:
    """What `cs` has said, as chat and orders hear it. Stands in for `orders`: answers each request to cancel."""

    def __init__(self, publisher: EventPublisher) -> None:
        self.events: list[EventJson] = []
        self.rejects: dict[str, RejectionCode] = {}
        """The orders that are not cancelled, and why not; the others are."""
        self.silent: set[str] = set()
        """The orders about which no answer is given."""
        self.answers = True
        self._voice = publisher
        self._arrived = asyncio.Condition()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["EventRecorder"]:
        """Takes what comes off the queues of chat and orders."""
        chat = await self._voice.bus.subscribe("chat", ["cs.SellerContacted", "cs.CaseClosed"])
        orders = await self._voice.bus.subscribe("orders", ["cs.OrderCancelRequested"])

        async def listen(subscription: Any) -> None:
            while True:
                deliveries = await subscription.take(100)
                async with self._arrived:
                    heard = [json.loads(delivery.body) for delivery in deliveries]
                    self.events += heard
                    self._arrived.notify_all()
                await subscription.acknowledge(deliveries[-1])
                for event in heard:
                    if event["type"] == "OrderCancelRequested" and self.answers and event["subject"] not in self.silent:
                        await self.answer(event)

        tasks = [asyncio.create_task(listen(subscription)) for subscription in (chat, orders)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await chat.close()
            await orders.close()

    async def answer(self, heard: EventJson) -> None:
        """Decides on a request as `orders` does."""
        asked = OrderCancelRequested.model_validate(heard["data"])
        story = TraceContext(UUID(heard["correlationid"]), UUID(heard["causationid"]), heard["traceparent"])
        if code := self.rejects.get(str(asked.order_id)):
            answer: Event = OrderCancelRejected(
                cancellation_id=asked.cancellation_id, order_id=asked.order_id, code=code, detail="no"
            )
        else:
            answer = cancelled(asked.order_id, asked.cancellation_id, asked.channel)
        await self._voice.publish_as("orders", answer, story=story.caused_by(UUID(heard["id"])))

    def about(self, kind: str, **data: str) -> list[EventJson]:
        """The events of this type with these data so far."""
        return [
            event
            for event in self.events
            if event["type"] == kind and all(event["data"][name] == value for name, value in data.items())
        ]

    async def wait_for(self, kind: str, **data: str) -> EventJson:
        """The first event of this type with these data, once it has come."""
        await self.until(lambda: bool(self.about(kind, **data)))
        return self.about(kind, **data)[0]

    async def until(self, happened: Callable[[], bool]) -> None:
        """Waits until what was heard so far is enough."""
        async with asyncio.timeout(TIMEOUT), self._arrived:
            await self._arrived.wait_for(happened)


def cancelled(order_id: UUID, cancellation_id: UUID, channel: Channel | str, paid: int = 100) -> OrderCancelled:
    """The order is cancelled."""
    return OrderCancelled(
        cancellation_id=cancellation_id,
        order_id=order_id,
        buyer_id=new_id(),
        seller_id=new_id(),
        channel=channel,
        paid_amount=paid,
        fault=Fault.SELLER,
    )
