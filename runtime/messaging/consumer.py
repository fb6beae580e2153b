"""The consuming side: every event has its effect once, whatever the broker repeats and whatever fails.

What has arrived goes into one transaction: the inbox rows, the handlers' changes, the events that follow; commit; then
acknowledge. If that fails, each message gets a transaction of its own, so that a bad one harms itself only, and after
five failures is parked.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from time import monotonic, perf_counter
from typing import Any, TypeVar
from uuid import UUID

from runtime.backoff import Backoff
from runtime.messaging import parked
from runtime.messaging.bus import Bus, BusError, Delivery, Subscription
from runtime.messaging.envelope import Envelope, Event, EventReader, UnreadableEvent
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.observability.telemetry import EVENTS_DUPLICATE, EVENTS_HANDLED, EVENTS_PARKED, HANDLING_SECONDS
from runtime.storage.database_errors import Retry, is_transient, retry_of

BATCH = 256
"""Messages that share one transaction at the most: all that the broker hands out at once. Under full load a transaction
waits as long for its connection as the requests do, so it has to be worth it."""
MAX_FAILURES = 5
"""Failures of a handler, counted in the database, after which its event is parked."""
MAX_CRASHES = 5
"""Times that the service may go down over one message, counted in the database, before that is parked untried."""
RETRY_AFTER = 0.05
"""Seconds until the second attempt, doubled for each further one."""
BATCH_INTERVAL = 0.05
"""Seconds between the beginnings of two batches, for a service that nobody waits for: of a stream of events more then
share a transaction. What comes alone does not wait."""
STOPPING = 3.0
"""Seconds that what is in hand may take when the service stops; after that it is rolled back and delivered again."""

Handler = Callable[[Transaction, Any], Awaitable[Sequence[Event]]]
"""Acts on one event and returns the events that follow; raising means that nothing happened."""


@dataclass(frozen=True)
class BatchHandler:
    """A handler of all the events of its kind that stand one after the other in a batch, for what comes often: it needs
    as many statements for all of them as for one. What follows from each it says within `tx.caused_by(envelope)`.

    The consumer calls `acquire_locks` before it handles any event of a batch, with all events of the types that share
    it: a batch locks in one order, in whichever order its events arrive.
    """

    handle: Callable[[Transaction, Sequence[Envelope[Any]]], Awaitable[None]]
    acquire_locks: Callable[[Transaction, Sequence[Envelope[Any]]], Awaitable[None]] | None = None


Handlers = Mapping[type[Event], Handler | BatchHandler]

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parsed:
    """A delivery and what was found in it: an envelope, or the reason why there is none."""

    delivery: Delivery
    envelope: Envelope[Any] | None
    error: UnreadableEvent | None = None


class Consumer:
    """Takes a service's messages off its queue and through its handlers."""

    def __init__(self, uow: UnitOfWork, bus: Bus, handlers: Handlers, pace: float = 0.0) -> None:
        """`pace`: seconds from the beginning of a batch to that of the next (see `BATCH_INTERVAL`)."""
        self._uow = uow
        self._bus = bus
        self._handlers = handlers
        self._pace = pace
        self.reader = EventReader({event.wire_name: event for event in handlers})
        self.connected = False

    async def run(self) -> None:
        """Consumes until it is cancelled; what is in hand then is finished."""
        bus, recovery = Backoff("RabbitMQ, to consume", log), Backoff("the consumer to recover", log)
        while True:
            try:
                await self._consume(bus, recovery)
            except BusError as error:
                await bus.wait(error)
            except Exception as error:
                log.exception("the consumer failed")
                await recovery.wait(error)

    async def _consume(self, bus: Backoff, recovery: Backoff) -> None:
        keys = sorted(key for event in self._handlers for key in event.routing_keys(self._uow.service))
        subscription = await self._bus.subscribe(self._uow.service, keys)
        try:
            self.connected = True
            suspect, began = True, -self._pace
            while True:
                await asyncio.sleep(began + self._pace - monotonic())
                deliveries = await subscription.take(BATCH)
                began = monotonic()
                await _finished(self._finish(subscription, deliveries, suspect))
                suspect = False
                bus.reset()  # not before: a queue that can be subscribed to may still give or take nothing
                recovery.reset()
        finally:
            self.connected = False
            await subscription.close()

    async def _finish(self, subscription: Subscription, deliveries: Sequence[Delivery], suspect: bool) -> None:
        """Handles and acknowledges, what comes again one by one.

        By that the first delivery of a subscription is the one that was in hand when the service last went down: a
        suspect, and the only one. The broker's count does not tell it from those that were only held at the time.
        """
        for group in _groups(deliveries):
            if suspect and group[0].earlier:
                await self._handle_suspect(group[0])
            else:
                await self._handle([self._read(delivery) for delivery in group])
            await subscription.acknowledge(group[-1])
            suspect = False

    async def _handle_suspect(self, delivery: Delivery) -> None:
        """Handles a suspect. That it is being tried is written down before, and struck out after: what is found
        written down is how often the service went down over it."""
        mark = UUID(bytes=hashlib.sha256(delivery.body).digest()[:16])
        tried = await self._insist(lambda tx: parked.count_failure(tx.connection, mark, "being tried"))
        if tried > MAX_CRASHES:
            why = UnreadableEvent(f"the service went down over it {MAX_CRASHES} times")
            await self._handle([Parsed(delivery, None, why)])
        else:
            await self._handle([self._read(delivery)])
        await self._insist(lambda tx: parked.forget_failures(tx.connection, mark))

    async def _handle(self, messages: Sequence[Parsed]) -> None:
        """Returns once every message has had its effect or is parked, for good; waits out passing faults."""
        started = perf_counter()
        try:
            if len(messages) > 1:
                await self._handle_batch(messages)
                messages = []
        except Exception as error:
            log.warning("a batch of %d is taken apart: %r", len(messages), error)
        for message in messages:
            await self._handle_one(message)
        HANDLING_SECONDS.labels(self._uow.service).observe(perf_counter() - started)

    def _read(self, delivery: Delivery) -> Parsed:
        try:
            return Parsed(delivery, self.reader.read(delivery.body, delivery.routing_key))
        except UnreadableEvent as error:
            return Parsed(delivery, None, error)

    async def _handle_batch(self, messages: Sequence[Parsed]) -> None:
        async with self._uow.begin() as tx:
            new_ids = await self.new_ids(tx, [message.envelope.id for message in messages if message.envelope])
            new: list[Envelope[Any]] = []
            for message in messages:
                if message.envelope is None:
                    await self._park(tx, message, str(message.error))
                elif message.envelope.id in new_ids:
                    new_ids.remove(message.envelope.id)
                    new.append(message.envelope)
                else:
                    tx.after_commit(EVENTS_DUPLICATE.labels(self._uow.service, message.envelope.type).inc)
                    tx.after_commit(partial(self._uow.observer.repeated, message.envelope))
            await self.acquire_locks(tx, new)
            for _, same_type in groupby(new, key=lambda envelope: type(envelope.data)):
                await self.act(tx, list(same_type))

    async def acquire_locks(self, tx: Transaction, batch: Sequence[Envelope[Any]]) -> None:
        """Has the handlers lock what they need for these events, before `act`."""
        handlers = [(kind, one) for kind, one in self._handlers.items() if isinstance(one, BatchHandler)]
        for acquire_locks in dict.fromkeys(handler.acquire_locks for _, handler in handlers):
            kinds = tuple(kind for kind, handler in handlers if handler.acquire_locks == acquire_locks)
            same_type = [envelope for envelope in batch if isinstance(envelope.data, kinds)]
            if acquire_locks is not None and same_type:
                await acquire_locks(tx, same_type)

    async def new_ids(self, tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
        """Enters the ids into the inbox; returns those that were not there. Waits for whoever is entering one now."""
        if not ids:
            return set()
        rows = await tx.connection.fetch(
            "insert into inbox (event_id) select distinct unnest($1::uuid[]) order by 1 on conflict do nothing "
            "returning event_id",
            ids,
        )
        return {row["event_id"] for row in rows}

    async def act(self, tx: Transaction, same_type: Sequence[Envelope[Any]]) -> None:
        """Runs the handler of some events of one kind, each inside the story that it belongs to."""
        handler = self._handlers[type(same_type[0].data)]
        if isinstance(handler, BatchHandler):
            await handler.handle(tx, same_type)
        else:
            for envelope in same_type:
                with tx.caused_by(envelope):
                    tx.publish(*await handler(tx, envelope.data))
        tx.after_commit(partial(EVENTS_HANDLED.labels(self._uow.service, same_type[0].type).inc, len(same_type)))

    async def _handle_one(self, message: Parsed) -> None:
        backoff = Backoff("the database, to handle an event", log)
        while True:
            try:
                await self._handle_batch([message])
                return
            except Exception as error:
                retry = retry_of(error)
                if retry is Retry.UNCOUNTED or (message.envelope is None and is_transient(error)):
                    await backoff.wait(error)
                    continue
                if message.envelope is None:
                    raise  # it cannot even be parked; the queue's delivery limit is what is left
                level = logging.WARNING if retry is Retry.TRANSIENT else logging.ERROR
                log.log(level, "handling %s failed: %r", message.delivery.routing_key, error, exc_info=error)
                failures = await self._count_failure(message, message.envelope.id, error)
                if failures >= MAX_FAILURES:
                    return
                await asyncio.sleep(RETRY_AFTER * 2**failures)

    async def _count_failure(self, message: Parsed, event_id: UUID, failure: Exception) -> int:
        """Writes the failure down, and with the last one, or one that no try can mend, parks the message.

        It does not go into the inbox: what stands there has had its effect, and what is parked has not.
        """

        hopeless = retry_of(failure) is Retry.NEVER

        async def count(tx: Transaction) -> int:
            failures = await parked.count_failure(tx.connection, event_id, repr(failure))
            if hopeless or failures >= MAX_FAILURES:
                await parked.forget_failures(tx.connection, event_id)
                times = f"failed {failures} times, last" if failures > 1 else "failed"
                await self._park(tx, message, f"{times} with {failure!r}")
                return MAX_FAILURES
            return failures

        return await self._insist(count)

    async def _insist(self, do: Callable[[Transaction], Awaitable[T]]) -> T:
        """Does it in a transaction of its own, and waits out passing faults."""
        backoff = Backoff("the database, to count failures", log)
        while True:
            try:
                async with self._uow.begin() as tx:
                    return await do(tx)
            except Exception as error:
                if not is_transient(error):
                    raise
                await backoff.wait(error)

    async def _park(self, tx: Transaction, message: Parsed, why: str) -> None:
        event_id = message.envelope.id if message.envelope else message.error.event_id if message.error else None
        await parked.park(tx.connection, event_id, message.delivery, why)
        tx.after_commit(EVENTS_PARKED.labels(self._uow.service).inc)
        tx.after_commit(partial(self._uow.observer.parked, message.delivery, why))
        log.error("parked %s: %s", message.delivery.routing_key, why)


def _groups(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """The deliveries in their order: what comes for the first time together, what comes again each by itself."""
    groups: list[list[Delivery]] = []
    for delivery in deliveries:
        if groups and not delivery.earlier and not groups[-1][-1].earlier:
            groups[-1].append(delivery)
        else:
            groups.append([delivery])
    return groups


async def _finished(uow: Coroutine[Any, Any, None]) -> None:
    """Does the work to its end, also when the caller is cancelled meanwhile; then for `STOPPING` seconds at most."""
    task = asyncio.create_task(uow)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOPPING):
                await asyncio.gather(task, return_exceptions=True)
        raise
