"""The consuming side: every event has its effect once, whatever the broker repeats and whatever fails.

What has arrived goes into one transaction: the inbox rows, the handlers' changes, the events that follow; commit; then
acknowledge. If that fails, each message gets a transaction of its own, so that a bad one harms itself only, and after
five failures is parked.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from uuid import UUID

from runtime import parked
from runtime.bus import Bus, BusError, Delivery, Subscription
from runtime.database import is_passing
from runtime.events import Envelope, Event, EventReader, UnreadableEvent
from runtime.patience import Patience
from runtime.story import telling
from runtime.telemetry import EVENTS_DUPLICATE, EVENTS_HANDLED, EVENTS_PARKED, HANDLING_SECONDS
from runtime.work import Transaction, Work

BATCH = 64
"""Messages that share one transaction at the most."""
MOST_FAILURES = 5
"""Failures of a handler, counted in the database, after which its event is parked."""

STOPPING = 5.0
"""Seconds that what is in hand may take when the service stops; after that it is rolled back and delivered again."""

Handler = Callable[[Transaction, Any], Awaitable[Sequence[Event]]]
"""Acts on one event and returns the events that follow; raising means that nothing happened."""
Handlers = Mapping[type[Event], Handler]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Read:
    """A delivery and what was found in it: an envelope, or the reason why there is none."""

    delivery: Delivery
    envelope: Envelope[Any] | None
    error: UnreadableEvent | None = None


class Consumer:
    """Takes a service's messages off its queue and through its handlers."""

    def __init__(self, work: Work, bus: Bus, handlers: Handlers) -> None:
        self._work = work
        self._bus = bus
        self._handlers = handlers
        self.reader = EventReader({event.wire_name: event for event in handlers})
        self.connected = False

    async def run(self) -> None:
        """Consumes until it is cancelled; what is in hand then is finished."""
        patience = Patience("RabbitMQ, to consume", log)
        keys = sorted(key for event in self._handlers for key in event.routing_keys(self._work.service))
        while True:
            subscription = None
            try:
                subscription = await self._bus.subscribe(self._work.service, keys)
                self.connected = True
                patience.rewarded()
                await self._consume(subscription)
            except BusError as error:
                await patience.wait(error)
            finally:
                self.connected = False
                if subscription is not None:
                    await subscription.close()

    async def _consume(self, subscription: Subscription) -> None:
        while True:
            deliveries = await subscription.take(BATCH)
            in_hand = asyncio.create_task(self._finish(subscription, deliveries))
            try:
                await asyncio.shield(in_hand)
            except asyncio.CancelledError:
                await asyncio.wait({in_hand}, timeout=STOPPING)
                raise

    async def _finish(self, subscription: Subscription, deliveries: Sequence[Delivery]) -> None:
        await self.handle(deliveries)
        await subscription.acknowledge(deliveries[-1])

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Returns once every delivery has had its effect or is parked, for good; waits out passing faults."""
        messages = [self._read(delivery) for delivery in deliveries]
        started = perf_counter()
        try:
            await self._together(messages)
        except Exception as error:
            if len(messages) > 1 or not is_passing(error):
                log.warning("a batch of %d is taken apart: %r", len(messages), error)
            for message in messages:
                await self._alone(message)
        HANDLING_SECONDS.labels(self._work.service).observe(perf_counter() - started)

    def _read(self, delivery: Delivery) -> Read:
        try:
            return Read(delivery, self.reader.read(delivery.body, delivery.routing_key))
        except UnreadableEvent as error:
            return Read(delivery, None, error)

    async def _together(self, messages: Sequence[Read]) -> None:
        async with self._work.begin() as tx:
            fresh = await self._fresh(tx, [message.envelope.id for message in messages if message.envelope])
            for message in messages:
                if message.envelope is None:
                    await self._park(tx, message, str(message.error))
                elif message.envelope.id in fresh:
                    fresh.remove(message.envelope.id)
                    await self.act(tx, message.envelope)
                else:
                    EVENTS_DUPLICATE.labels(self._work.service, message.envelope.type).inc()

    async def _fresh(self, tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
        if not ids:
            return set()
        rows = await tx.connection.fetch(
            "insert into inbox (event_id) select distinct unnest($1::uuid[]) order by 1 on conflict do nothing "
            "returning event_id",
            ids,
        )
        return {row["event_id"] for row in rows}

    async def act(self, tx: Transaction, envelope: Envelope[Any]) -> None:
        """Runs the handler of one event inside the story that the event belongs to."""
        with telling(envelope.story):
            tx.heard = envelope
            tx.publish(*await self._handlers[type(envelope.data)](tx, envelope.data))
            tx.heard = None
        EVENTS_HANDLED.labels(self._work.service, envelope.type).inc()

    async def _alone(self, message: Read) -> None:
        patience = Patience("the database, to handle an event", log)
        failures = 0
        while True:
            try:
                await self._together([message])
                return
            except Exception as error:
                if is_passing(error):
                    await patience.wait(error)
                    continue
                log.exception("handling %s failed", message.delivery.routing_key)
                failures = await self._count_failure(message, error, patience)
                if failures >= MOST_FAILURES:
                    return
                await asyncio.sleep(0.05 * 2**failures)

    async def _count_failure(self, message: Read, failure: Exception, patience: Patience) -> int:
        """Writes the failure down, and with the last one parks the message."""
        event_id = message.envelope.id if message.envelope else UUID(int=0)
        while True:
            try:
                async with self._work.begin() as tx:
                    failures: int = await tx.connection.fetchval(
                        "insert into failures as f (event_id, error) values ($1, $2) on conflict (event_id) do update "
                        "set failures = f.failures + 1, error = excluded.error returning failures",
                        event_id,
                        repr(failure),
                    )
                    if failures >= MOST_FAILURES:
                        await tx.connection.execute("delete from failures where event_id = $1", event_id)
                        if await self._fresh(tx, [event_id]):
                            await self._park(tx, message, f"failed {failures} times, last with {failure!r}")
                return failures
            except Exception as error:
                if not is_passing(error):
                    raise
                await patience.wait(error)

    async def _park(self, tx: Transaction, message: Read, why: str) -> None:
        event_id = message.envelope.id if message.envelope else message.error.event_id if message.error else None
        await parked.park(tx.connection, event_id, message.delivery, why)
        tx.after_commit(EVENTS_PARKED.labels(self._work.service).inc)
        log.error("parked %s: %s", message.delivery.routing_key, why)
