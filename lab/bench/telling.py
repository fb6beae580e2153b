"""Told cancellations: what the services tell of them, at a rate that they need not reach, for looking at the page."""

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
"""What is told of one cancellation with its refund, by four services."""
TICK = 0.02
"""Seconds between two handfuls."""
AMOUNT = 145_000


class Tellers:
    """The four services that a cancellation passes through, without the services."""

    def __init__(self, redis: Redis) -> None:
        names = ("orders", "refunds", "chat", "cs")
        self._by_name = {name: DemoObserver(name, redis) for name in names}

    async def tell(self, rate: int, seconds: float) -> int:
        """Tells of `rate` cancellations a second; returns how many that were."""
        loop = asyncio.get_running_loop()
        started, told = loop.time(), 0
        async with TaskGroup() as group:
            loops = [group.create_task(teller.run()) for teller in self._by_name.values()]
            while (passed := loop.time() - started) < seconds:
                # After standing still it goes on with the rate, and does not pour out at once what it missed.
                for _ in range(min(int(rate * passed) - told, MAX_WAITING // RECORDS)):
                    self._cancellation()
                    told += 1
                await asyncio.sleep(TICK)
            while any(teller._waiting for teller in self._by_name.values()):
                await asyncio.sleep(TICK)
            await asyncio.sleep(10 * TICK)
            for one in loops:
                one.cancel()
        return told

    def _cancellation(self) -> None:
        told, order, buyer, cancellation = start_context(), new_id(), new_id(), new_id()
        asked = OrderCancelRequested(
            cancellation_id=cancellation,
            order_id=order,
            channel=Channel.APP,
            requested_by=buyer,
            role=RequesterRole.BUYER,
        )
        cancelled = OrderCancelled(
            cancellation_id=cancellation,
            order_id=order,
            buyer_id=buyer,
            seller_id=new_id(),
            channel=Channel.APP,
            paid_amount=AMOUNT,
            fault=Fault.BUYER,
        )
        issued = RefundIssued(
            refund_id=new_id(),
            cancellation_id=cancellation,
            order_id=order,
            buyer_id=buyer,
            amount=AMOUNT,
            destination=Destination.LAZADA_CREDIT,
        )
        asked_id, cancelled_id, issued_id = new_id(), new_id(), new_id()
        scope = {"method": "POST", "path": "/orders/{order_id}/cancel"}
        self._by_name["orders"].requested(told, scope, 200, 0.01)
        self._publish("orders", told, [asked_id, cancelled_id], [asked, cancelled])
        self._handle(("refunds", "chat", "cs"), told, cancelled_id, cancelled)
        self._publish("refunds", told.caused_by(cancelled_id), [issued_id], [issued])
        self._handle(("orders", "chat", "cs"), told, issued_id, issued)

    def _publish(self, service: str, told: TraceContext, ids: Sequence[UUID], events: Sequence[Event]) -> None:
        teller = self._by_name[service]
        teller.written(ids, [(event, told) for event in events])
        messages = [_message(service, told, event_id, event) for event_id, event in zip(ids, events, strict=True)]
        teller.sent(messages)
        teller.confirmed(messages)

    def _handle(self, services: Sequence[str], told: TraceContext, event_id: UUID, event: Event) -> None:
        now = time()
        taken_at.set(now)
        for service in services:
            self._by_name[service].handled(_envelope(told, event_id, event), now, now + 0.001)


def _message(service: str, told: TraceContext, event_id: UUID, event: Event) -> Message:
    names = {"id": str(event_id), "type": event.wire_name, "subject": event.subject}
    body = {**names, "correlationid": str(told.correlation_id), "data": event.model_dump(mode="json")}
    return Message(f"{service}.{event.wire_name}", json.dumps(body).encode())


def _envelope(told: TraceContext, event_id: UUID, event: Event) -> Envelope[Any]:
    """Not checked, because that is not what is measured."""
    return Envelope[Any].model_construct(
        id=event_id,
        source="",
        type=event.wire_name,
        subject=event.subject,
        time=datetime.now(UTC),
        dataschema=event.dataschema(),
        correlationid=told.correlation_id,
        causationid=told.causation_id,
        sequence=1,
        traceparent=told.traceparent,
        data=event,
    )
