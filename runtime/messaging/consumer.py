"""The consumer: every event has its effect once, also when the broker delivers it again or a handler fails.

The messages that have arrived share one transaction: inbox rows, the handlers' changes, the events that follow. After
the commit they are acknowledged. If the batch fails, each message gets its own transaction, so that a bad message
affects no other; after five failures, or one that no retry can cure, it is parked.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from time import monotonic, perf_counter
from typing import Any, TypeVar
from uuid import UUID

from runtime.backoff import Backoff
from runtime.messaging import parked
from runtime.messaging.batches import Parsed, finished, groups
from runtime.messaging.bus import WHOLE, BindingGuard, Bus, BusError, Delivery, Partition, Subscription, always
from runtime.messaging.envelope import Envelope, Event, EventReader, UnreadableEvent
from runtime.messaging.lag import Lag
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.observability.telemetry import EVENTS_DUPLICATE, EVENTS_HANDLED, EVENTS_PARKED, HANDLING_SECONDS
from runtime.observability.trace_context import use_context
from runtime.storage.database_errors import Retry, is_transient, retry_of

BATCH = 256
"""Messages in one transaction, at most: all that the broker delivers at once. Under full load a transaction waits as
long for a connection as requests do, so it should carry many."""
MAX_FAILURES = 5
"""Failures of a handler, counted in the database, after which its event is parked."""
MAX_CRASHES = 5
"""Crashes of the service while it handles one message, counted in the database; then the message is parked untried."""
RETRY_AFTER = 0.05
"""Seconds until the second attempt, doubled for each further one."""
BATCH_INTERVAL = 0.075
"""Seconds between the starts of two batches, if the first one had several events: more events of a stream then share a
transaction. What follows a single event does not wait, nor does a backlog, from which a batch is a quarter full."""

Handler = Callable[[Transaction, Any], Awaitable[Sequence[Event]]]
"""Handles one event and returns the events that follow. When it raises, nothing has happened."""


@dataclass(frozen=True)
class BatchHandler:
    """A handler of all consecutive events of its type in a batch, for frequent events: it needs as many statements for
    all of them as for one. It publishes what follows from each event within `tx.caused_by(envelope)`.

    The consumer calls `acquire_locks` before it handles any event of a batch, with all events of the types that share
    it: a batch locks in one order, in whichever order its events arrive.
    """

    handle: Callable[[Transaction, Sequence[Envelope[Any]]], Awaitable[None]]
    acquire_locks: Callable[[Transaction, Sequence[Envelope[Any]]], Awaitable[None]] | None = None


Handlers = Mapping[type[Event], Handler | BatchHandler]

T = TypeVar("T")
log = logging.getLogger(__name__)


class Consumer:
    """Takes messages from a queue of a service and runs its handlers."""

    def __init__(
        self,
        uow: UnitOfWork,
        bus: Bus,
        handlers: Handlers,
        partition: Partition = WHOLE,
        guard: BindingGuard = always,
    ) -> None:
        self._uow = uow
        self._bus = bus
        self._handlers = handlers
        self._partition = partition
        self._guard = guard
        self._exemplar: dict[str, str] | None = None  # the span of the last batch
        self.reader = EventReader({event.wire_name: event for event in handlers})
        self._subscription: Subscription | None = None
        self._lag = Lag(uow.service, partition.queue(uow.service))

    @property
    def connected(self) -> bool:
        """Whether there is a subscription."""
        return self._subscription is not None

    async def waiting(self) -> list[tuple[str, int]]:
        """The names of its queues, and how many messages wait there; nothing without a subscription."""
        try:
            return list((await self._subscription.waiting()).items()) if self._subscription else []
        except BusError:
            return []

    async def run(self) -> None:
        """Consumes until it is cancelled, and finishes the current batch then."""
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
        keys = routing_keys(self._handlers, self._uow.service)
        subscription = await self._bus.subscribe(self._uow.service, keys, self._partition, self._guard)
        try:
            self._subscription = subscription
            self._lag.show()
            suspect, following = True, 0.0
            while True:
                await asyncio.sleep(following - monotonic())
                deliveries = await subscription.take(BATCH)
                following = monotonic() + BATCH_INTERVAL if 1 < len(deliveries) < BATCH / 4 else 0.0
                await finished(self._finish(subscription, deliveries, suspect))
                suspect = False
                bus.reset()  # only now: after a subscription, deliveries and acknowledgements can still fail
                recovery.reset()
        finally:
            self._subscription = None
            self._lag.hide()
            await subscription.close()

    async def _finish(self, subscription: Subscription, deliveries: Sequence[Delivery], suspect: bool) -> None:
        """Handles and acknowledges the deliveries; redelivered ones one by one.

        Therefore the first delivery of a subscription is the one that was being handled when the service last crashed,
        and the only crash suspect. The broker's count also rises for messages that were only prefetched then.
        """
        for group in groups(deliveries):
            if suspect and group[0].earlier:
                await self._handle_suspect(group[0])
            else:
                await self._handle([self._read(delivery) for delivery in group])
            await subscription.acknowledge(group[-1])
            suspect = False
            self._lag.in_hand = None

    async def _handle_suspect(self, delivery: Delivery) -> None:
        """Handles a crash suspect. Each try is counted in the database before it and deleted after it: the count is the
        number of crashes."""
        mark = UUID(bytes=hashlib.sha256(delivery.body).digest()[:16])
        tried = await self._insist(lambda tx: parked.count_failure(tx.connection, mark, "being tried"))
        if tried > MAX_CRASHES:
            why = UnreadableEvent(f"the service went down over it {MAX_CRASHES} times")
            await self._handle([Parsed(delivery, None, why)])
        else:
            await self._handle([self._read(delivery)])
        await self._insist(lambda tx: parked.forget_failures(tx.connection, mark))

    async def _handle(self, messages: Sequence[Parsed]) -> None:
        """Returns once every message has had its effect or is parked; waits while an error is transient."""
        started = perf_counter()
        self._lag.in_hand = next((message.envelope for message in messages if message.envelope), None)
        try:
            if len(messages) > 1:
                await self._handle_batch(messages)
                messages = []
        except Exception as error:
            log.warning("a batch of %d is taken apart: %r", len(messages), error)
        for message in messages:
            await self._handle_one(message)
        HANDLING_SECONDS.labels(self._uow.service).observe(perf_counter() - started, self._exemplar)

    def _read(self, delivery: Delivery) -> Parsed:
        try:
            return Parsed(delivery, self.reader.read(delivery.body, delivery.routing_key))
        except UnreadableEvent as error:
            return Parsed(delivery, None, error)

    async def _handle_batch(self, messages: Sequence[Parsed]) -> None:
        async with self._uow.begin() as tx:
            tx.partition = self._partition.index
            began = perf_counter()
            new_ids = await self.new_ids(tx, [message.envelope.id for message in messages if message.envelope])
            now = next(iter(new_ids.values()), None)
            new: list[Envelope[Any]] = []
            repeated: list[Envelope[Any]] = []
            for message in messages:
                if message.envelope is None:
                    await self._park(tx, message, str(message.error))
                elif message.envelope.id in new_ids:
                    del new_ids[message.envelope.id]
                    new.append(message.envelope)
                else:
                    repeated.append(message.envelope)
                    tx.after_commit(EVENTS_DUPLICATE.labels(self._uow.service, message.envelope.type).inc)
                    tx.after_commit(partial(self._uow.observer.repeated, message.envelope))
            self._exemplar = tx.trace(self._partition.queue(self._uow.service), new, repeated)
            await self.acquire_locks(tx, new)
            for _, same_type in groupby(new, key=lambda envelope: type(envelope.data)):
                await self.act(tx, list(same_type))
            if now is not None:
                tx.after_commit(partial(self._lag.observe, new, now, began))

    async def acquire_locks(self, tx: Transaction, batch: Sequence[Envelope[Any]]) -> None:
        """Calls the `acquire_locks` of the handlers of these events, before `act`."""
        handlers = [(kind, one) for kind, one in self._handlers.items() if isinstance(one, BatchHandler)]
        for acquire_locks in dict.fromkeys(handler.acquire_locks for _, handler in handlers):
            kinds = tuple(kind for kind, handler in handlers if handler.acquire_locks == acquire_locks)
            same_type = [envelope for envelope in batch if isinstance(envelope.data, kinds)]
            if acquire_locks is not None and same_type:
                await acquire_locks(tx, same_type)

    async def new_ids(self, tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, datetime]:
        """Inserts the ids into the inbox; returns those that were new, each with the time at the database. Waits for a
        transaction that inserts one now."""
        if not ids:
            return {}
        rows = await tx.connection.fetch(
            "insert into inbox (event_id) select distinct unnest($1::uuid[]) order by 1 on conflict do nothing "
            "returning event_id, (select clock_now()) as now",
            ids,
        )
        return {row["event_id"]: row["now"] for row in rows}

    async def act(self, tx: Transaction, same_type: Sequence[Envelope[Any]]) -> None:
        """Runs the handler of some events of one type, each within its own trace, which a batch handler sees to."""
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
                    raise  # it cannot be parked either; the queue's delivery limit ends this
                level = logging.WARNING if retry is Retry.TRANSIENT else logging.ERROR
                with use_context(message.envelope.context):
                    log.log(level, "handling %s failed: %r", message.delivery.routing_key, error, exc_info=error)
                failures = await self._count_failure(message, message.envelope.id, error)
                if failures >= MAX_FAILURES:
                    return
                await asyncio.sleep(RETRY_AFTER * 2**failures)

    async def _count_failure(self, message: Parsed, event_id: UUID, failure: Exception) -> int:
        """Counts the failure; parks the message after the last failure, or one that another try cannot cure.

        A parked message is not in the inbox, which has only events that have had their effect.
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
        """Runs `do` in its own transaction, again while an error is transient."""
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


def routing_keys(handlers: Handlers, service: str) -> list[str]:
    """The keys of the messages that a service consumes."""
    return sorted(key for event in handlers for key in event.routing_keys(service))
