"""The unit of work: one transaction that holds a change and the events that follow from it."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from runtime.messaging import outbox
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.observer import NO_OBSERVER
from runtime.observability.trace_context import TraceContext, current_context, use_context
from runtime.storage.database import Connection, Database

log = logging.getLogger(__name__)

_SCHEDULE = """
insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent)
values ($1, $2, clock_now() + $3, $4, $5, $6)
on conflict (kind, subject) do update set due_at = excluded.due_at, failures = 0,
    correlation_id = excluded.correlation_id, causation_id = excluded.causation_id, traceparent = excluded.traceparent
"""


@dataclass
class Transaction:
    """The open transaction that a route or a handler works with. The runtime commits it once, at the end."""

    connection: Connection
    envelope: Envelope[Any] | None = None
    """The event being handled, in a handler."""
    partition: int = 0
    """The partition of the consumer that handles it."""
    events: list[tuple[Event, TraceContext]] = field(default_factory=list)
    afterwards: list[Callable[[], object]] = field(default_factory=list)
    wake_deadlines: Callable[[], object] = lambda: None

    def publish(self, *events: Event) -> None:
        """Adds events, which are published if, and only if, the transaction commits."""
        context = current_context()
        self.events.extend((event, context) for event in events)

    def after_commit(self, call: Callable[[], object]) -> None:
        """Runs `call`, in this trace, after the commit: for work outside, which may get lost."""
        context = copy_context()
        self.afterwards.append(lambda: context.run(call))

    @contextmanager
    def caused_by(self, envelope: Envelope[Any]) -> Iterator[None]:
        """Has all that happens inside the block follow from this event."""
        with use_context(envelope.context):
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
        context = current_context()
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

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Opens a transaction. At the end of the block it writes the events to the outbox, and commits."""
        async with self.database.transaction() as connection:
            tx = Transaction(connection, wake_deadlines=self.wake_deadlines)
            yield tx
            ids = await outbox.write(connection, self.service, tx.events)
        if tx.events:
            self.wake_relay()
            self.observer.written(ids, tx.events)
        for call in tx.afterwards:
            try:
                call()
            except Exception:  # the transaction has committed: the caller must not get an error
                log.exception("a call after the commit failed")
