"""The unit of work: one transaction that holds a change and the events that follow from it."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from runtime.messaging import outbox
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.observer import NO_OBSERVER
from runtime.observability.trace_context import TraceContext, found_context, span_ids, start_context, use_context
from runtime.storage.database import Connection, Database

if TYPE_CHECKING:
    from runtime.observability.tracing import Spans, Tracing

log = logging.getLogger(__name__)

_SCHEDULE = """
insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent)
values ($1, $2, clock_now() + $3, $4, $5, $6)
on conflict (kind, subject) do update set due_at = excluded.due_at, failures = 0,
    correlation_id = excluded.correlation_id, causation_id = excluded.causation_id, traceparent = excluded.traceparent
"""


@dataclass
class Transaction:
    """The open transaction that a route or a handler works with. The runtime commits it once, at the end; with
    `autocommit` each statement is one."""

    connection: Connection
    service: str
    envelope: Envelope[Any] | None = None
    """The event being handled, in a handler."""
    partition: int = 0
    """The partition of the consumer that handles it."""
    events: list[tuple[Event, TraceContext]] = field(default_factory=list)
    ids: list[UUID] = field(default_factory=list)
    """Of those events that are in the outbox: the first ones."""
    afterwards: list[Callable[[], object]] = field(default_factory=list)
    wake_deadlines: Callable[[], object] = lambda: None
    spans: "Spans | None" = None
    """None where there is no tracing."""

    def publish(self, *events: Event) -> None:
        """Adds events, which are published if, and only if, the transaction commits."""
        context = self._context()
        self.events.extend((event, context) for event in events)

    async def write(self, change: str, *arguments: object) -> Any:
        """Makes a change in one statement, and returns its first value: outside of a transaction with the events
        published so far. Its common table expressions end with `changed{events}`; if `changed` has no row, these events
        are dropped. A transaction writes all its events at its end, sorted by subject."""
        unwritten, columns, events = self.events[len(self.ids) :], [], ""
        if unwritten and not self.connection.is_in_transaction():
            columns = outbox.columns(self.service, unwritten)
            events = f",\n{outbox.writing(len(arguments) + 1, 'changed')}"
        value = await self.connection.fetchval(change.replace("{events}", events), *arguments, *columns)
        if value is None:
            del self.events[len(self.ids) :]
        elif columns:
            self.ids += columns[0]
        return value

    async def write_events(self) -> None:
        """Writes the events that no change has written."""
        if unwritten := self.events[len(self.ids) :]:
            assert self.connection.is_in_transaction(), "an event needs the transaction of its change"
            columns = outbox.columns(self.service, unwritten)
            await self.connection.execute(f"with {outbox.writing(1)} select", *columns)
            self.ids += columns[0]

    def _context(self) -> TraceContext:
        return found_context() or self.new_trace("transaction")

    def new_trace(self, name: str) -> TraceContext:
        """A new trace, for what no request, event or deadline has caused; `name` is that of its first span."""
        return start_context(None if self.spans is None else self.spans.root(name))

    def trace(
        self,
        queue: str,
        new: Sequence[Envelope[Any]],
        repeated: Sequence[Envelope[Any]] = (),
        operation: str = "process",
    ) -> dict[str, str] | None:
        """Starts the spans of these events from a queue, where there is tracing; returns the ids of the first one."""
        if self.spans is None:
            return None
        self.spans.process(queue, new, repeated, operation)
        return span_ids(self.spans.first) if self.spans.first else None

    def after_commit(self, call: Callable[[], object]) -> None:
        """Runs `call`, in this trace, after the commit: for work outside, which may get lost."""
        context = copy_context()
        self.afterwards.append(lambda: context.run(call))

    @contextmanager
    def caused_by(self, envelope: Envelope[Any]) -> Iterator[None]:
        """Has all that happens inside the block follow from this event."""
        context = envelope.context
        if self.spans is not None:
            context = replace(context, traceparent=self.spans.traceparents.get(envelope.id, context.traceparent))
        with use_context(context):
            self.envelope = envelope
            yield
        self.envelope = None

    @property
    def sequence(self) -> int:
        """The number of the event being handled among those of its subject, from its publisher."""
        assert self.envelope is not None
        return self.envelope.sequence

    async def now(self) -> datetime:
        """The database's time, moved by the demonstration's offset if there is one."""
        moment: datetime = await self.connection.fetchval("select clock_now()")
        return moment

    async def schedule(self, kind: str, subject: str, delay: timedelta) -> None:
        """Sets the deadline `kind` of `subject`, `delay` from now, in place of an earlier one."""
        if not delay:
            self.after_commit(self.wake_deadlines)
        context = self._context()
        await self.connection.execute(
            _SCHEDULE, kind, subject, delay, context.correlation_id, context.causation_id, context.traceparent
        )

    async def call_off(self, kind: str, subject: str) -> None:
        """Removes the deadline, if it has not fired."""
        await self.connection.execute("delete from deadlines where kind = $1 and subject = $2", kind, subject)


class UnitOfWork:
    """Opens transactions on a service's database."""

    def __init__(self, service: str, database: Database) -> None:
        self.service = service
        self.database = database
        self.wake_relay: Callable[[], object] = lambda: None
        self.wake_deadlines: Callable[[], object] = lambda: None
        self.held: Callable[[], Collection[int]] = tuple
        """The rows of the outbox whose events are published already."""
        self.observer = NO_OBSERVER
        self.tracing: Tracing | None = None

    @asynccontextmanager
    async def begin(self, *, autocommit: bool = False) -> AsyncIterator[Transaction]:
        """Opens a transaction. At the end of the block it writes the events to the outbox, and commits.

        With `autocommit` it opens none: the block may read, and make one change with its events, by `write`."""
        spans = None if self.tracing is None else self.tracing.spans()
        try:
            async with (self.database.autocommit if autocommit else self.database.transaction)() as connection:
                tx = Transaction(connection, self.service, wake_deadlines=self.wake_deadlines, spans=spans)
                yield tx
                await tx.write_events()
        except BaseException as error:
            if spans is not None:
                spans.end(error)
            raise
        if spans is not None:
            spans.end()
        if tx.events:
            self.wake_relay()
            self.observer.written(tx.ids, tx.events)
        for call in tx.afterwards:
            try:
                call()
            except Exception:  # the transaction has committed: the caller must not get an error
                log.exception("a call after the commit failed")
