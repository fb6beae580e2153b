"""Synthetic records of cancellations, at a rate that the services need not reach: load for the flow page."""

import asyncio
import json
from asyncio import TaskGroup
from collections.abc import Sequence
from datetime import UTC, datetime
from time import time
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from contracts.orders import OrderCancelled, OrderCancelRequested, RequesterRole
from contracts.refunds import RefundIssued
from contracts.words import Channel, Destination, Fault
from runtime.demo.recorder import MAX_WAITING, DemoObserver, taken_at
from runtime.messaging.bus import Message
from runtime.messaging.envelope import Envelope, Event
from runtime.observability.trace_context import TraceContext, new_id, start_context

RECORDS = 16
"""Records that four services write for one cancellation and its refund."""
TICK = 0.02
"""Seconds between two batches."""
AMOUNT = 145_000


class SyntheticServices:
    """Writes what the four services of a cancellation record, without the services."""

    def __init__(self, redis: Redis) -> None:
        names = ("orders", "refunds", "chat", "cs")
        self._by_name = {name: DemoObserver(name, redis) for name in names}

    async def record(self, rate: int, seconds: float) -> int:
        """Records `rate` cancellations a second; returns their number."""
        loop = asyncio.get_running_loop()
        started, recorded = loop.time(), 0
        async with TaskGroup() as group:
            loops = [group.create_task(observer.run()) for observer in self._by_name.values()]
            while (passed := loop.time() - started) < seconds:
                # After a pause it continues at the rate, and does not catch up in one burst.
                for _ in range(min(int(rate * passed) - recorded, MAX_WAITING // RECORDS)):
                    self._cancellation()
                    recorded += 1
                await asyncio.sleep(TICK)
            while any(observer._waiting for observer in self._by_name.values()):
                await asyncio.sleep(TICK)
            await asyncio.sleep(10 * TICK)
            for one in loops:
                one.cancel()
        return recorded

    def _cancellation(self) -> None:
        context, buyer, ids = start_context(), new_id(), {"cancellation_id": new_id(), "order_id": new_id()}
        asked = OrderCancelRequested(**ids, channel=Channel.APP, requested_by=buyer, role=RequesterRole.BUYER)
        ids["buyer_id"] = buyer
        cancelled = OrderCancelled(
            **ids, seller_id=new_id(), channel=Channel.APP, paid_amount=AMOUNT, fault=Fault.BUYER
        )
        issued = RefundIssued(**ids, refund_id=new_id(), amount=AMOUNT, destination=Destination.LAZADA_CREDIT)
        asked_id, cancelled_id, issued_id = new_id(), new_id(), new_id()
        scope = {"method": "POST", "path": "/orders/{order_id}/cancel"}
        self._by_name["orders"].requested(context, scope, 200, 0.01)
        self._publish("orders", context, [asked_id, cancelled_id], [asked, cancelled])
        self._handle(("refunds", "chat", "cs"), context, cancelled_id, cancelled)
        self._publish("refunds", context.caused_by(cancelled_id), [issued_id], [issued])
        self._handle(("orders", "chat", "cs"), context, issued_id, issued)

    def _publish(self, service: str, context: TraceContext, ids: Sequence[UUID], events: Sequence[Event]) -> None:
        observer = self._by_name[service]
        observer.written(ids, [(event, context) for event in events])
        messages = [_message(service, context, event_id, event) for event_id, event in zip(ids, events, strict=True)]
        observer.sent(messages)
        observer.confirmed(messages)

    def _handle(self, services: Sequence[str], context: TraceContext, event_id: UUID, event: Event) -> None:
        now = time()
        taken_at.set(now)
        for service in services:
            self._by_name[service].handled(_envelope(context, event_id, event), now, now + 0.001)


def _message(service: str, context: TraceContext, event_id: UUID, event: Event) -> Message:
    names = {"id": str(event_id), "type": event.wire_name, "subject": event.subject}
    body = {**names, "correlationid": str(context.correlation_id), "data": event.model_dump(mode="json")}
    return Message(f"{service}.{event.wire_name}", json.dumps(body).encode())


def _envelope(context: TraceContext, event_id: UUID, event: Event) -> Envelope[Any]:
    """Not validated: validation is not measured."""
    return Envelope[Any].model_construct(
        id=event_id,
        source="",
        type=event.wire_name,
        subject=event.subject,
        time=datetime.now(UTC),
        dataschema=event.dataschema(),
        correlationid=context.correlation_id,
        causationid=context.causation_id,
        sequence=1,
        traceparent=context.traceparent,
        data=event,
    )
