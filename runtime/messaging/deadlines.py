"""Deadlines: actions at a given time, unless they are called off before.

A deadline is a row. The transaction that acts on it claims it with `for update skip locked` and deletes it: it fires
once for any number of replicas, it fires also after a crash, and never early by the database's clock.

The deadline is the last in the order of locks: routes and handlers lock its subject first, then set it or call it off.
A deadline handler that locks the same rows is registered as `Locking`: then they are locked before the deadline.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import inf

import asyncpg

from runtime.backoff import Backoff, unevenly
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.observability.telemetry import DEADLINES_FAILED, DEADLINES_FIRED
from runtime.observability.trace_context import TraceContext, use_context
from runtime.storage.database_errors import is_away, is_transient

BATCH = 100
POLL = 2.0
"""Seconds between two queries, at most: other replicas set deadlines, and a demonstration moves the clock."""

SHORTEST, LONGEST = timedelta(seconds=30), timedelta(hours=1)

DeadlineHandler = Callable[[Transaction, str], Awaitable[Sequence[Event]]]
"""Acts on the deadline of one subject and returns the events that follow."""


@dataclass(frozen=True)
class Locking:
    """A handler with its locks. Before a batch is claimed, `acquire_locks` is called once with the subjects of all due
    deadlines whose kinds share it, and locks them in the service's one order of locks."""

    act: DeadlineHandler
    acquire_locks: Callable[[Transaction, Sequence[str]], Awaitable[None]]


log = logging.getLogger(__name__)

_DUE = """
select kind, subject from deadlines where due_at <= clock_now() and kind = any($1) order by due_at limit $2
"""

_CLAIM = """
delete from deadlines where (kind, subject) in (
    select kind, subject from deadlines where due_at <= clock_now() and kind = any($1)
    and ($3::text[] is null or (kind, subject) in (select * from unnest($3::text[], $4::text[])))
    order by due_at limit $2 for update skip locked
)
returning kind, subject, due_at, correlation_id, causation_id, traceparent
"""

_LEFT = "select extract(epoch from min(due_at) - clock_now())::float8 from deadlines where kind = any($1)"
"""Runs without a transaction, because nothing is due nearly always."""

OVERDUE = """
select (select count(*) from deadlines where due_at <= clock_now()),
       extract(epoch from clock_now() - (select min(due_at) from deadlines))::float8
"""
"""How many are due and have not fired, and how late the first is in seconds: negative until it is due."""

_POSTPONE = """
update deadlines set failures = failures + 1,
    due_at = clock_now() + least(2 ^ least(failures, 9), 300) * interval '1 second'
where kind = $1 and subject = $2 and due_at <= clock_now()
returning failures
"""


def pause(waited: timedelta) -> timedelta:
    """The pause until a request that has waited for so long is sent again: as long once more, 30 seconds to an hour."""
    return min(max(waited, SHORTEST), LONGEST)


class Deadlines:
    """Fires the deadlines that are due. One runs in every replica of a service that has deadlines."""

    def __init__(self, uow: UnitOfWork, handlers: Mapping[str, DeadlineHandler | Locking]) -> None:
        self._uow = uow
        self._handlers = {kind: one.act if isinstance(one, Locking) else one for kind, one in handlers.items()}
        self._locks = {kind: one.acquire_locks for kind, one in handlers.items() if isinstance(one, Locking)}
        self._woken = asyncio.Event()
        for kind in handlers:
            for counter in (DEADLINES_FIRED, DEADLINES_FAILED):
                counter.labels(uow.service, kind)  # from 0, so that the first one is an increase

    def wake(self) -> None:
        """Wakes `run`: a deadline was set that may be due now."""
        self._woken.set()

    async def run(self) -> None:
        """Fires until it is cancelled."""
        backoff = Backoff("PostgreSQL, for deadlines", log)
        while True:
            self._woken.clear()
            try:
                left = await self._seconds_left()
                fired = await self.fire_due() if left <= 0 else 0
                backoff.reset()
            except Exception as error:
                if not is_transient(error):
                    log.exception("firing deadlines failed")
                await backoff.wait(error)
                continue
            if fired:
                continue  # the next one may be due, too
            try:
                async with asyncio.timeout(left if 0 < left < POLL else unevenly(POLL)):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _seconds_left(self) -> float:
        """Seconds until the next deadline is due; infinite if there is none."""
        async with self._uow.database.connection() as connection:
            left: float | None = await connection.fetchval(_LEFT, list(self._handlers))
        return inf if left is None else left

    async def fire_due(self) -> int:
        """Fires what is due now, up to a batch: in one transaction or, if one fails, in one transaction each."""
        try:
            async with self._uow.begin() as tx:
                rows = await self._claim(tx, BATCH)
                for row in sorted(rows, key=lambda row: row["due_at"]):
                    await self._act(tx, row)
            return len(rows)
        except Exception as error:
            if is_away(error):
                raise
        fired = 0
        while fired < BATCH and (claimed := await self._fire_alone()):
            fired += claimed
        return fired

    async def _claim(self, tx: Transaction, limit: int) -> Sequence[asyncpg.Record]:
        kinds = list(self._handlers)
        if not self._locks:
            return await tx.connection.fetch(_CLAIM, kinds, limit, None, None)
        due = await tx.connection.fetch(_DUE, kinds, limit)
        for acquire_locks in dict.fromkeys(self._locks.values()):
            if subjects := [row["subject"] for row in due if self._locks.get(row["kind"]) == acquire_locks]:
                await acquire_locks(tx, subjects)
        # Other transactions may have called off, moved or fired some of them before the locks were acquired.
        due_kinds, subjects = [row["kind"] for row in due], [row["subject"] for row in due]
        return await tx.connection.fetch(_CLAIM, kinds, limit, due_kinds, subjects) if due else []

    async def _fire_alone(self) -> int:
        first = row = None
        try:
            async with self._uow.begin() as tx:
                first = await tx.connection.fetchrow(_DUE, list(self._handlers), 1)
                row = next(iter(await self._claim(tx, 1)), None)
                if row is None:
                    return 0
                await self._act(tx, row)
        except Exception as error:
            row = row or first  # not claimed, if its locks cannot be had
            if row is None or is_away(error):
                raise
            DEADLINES_FAILED.labels(self._uow.service, row["kind"]).inc()
            level = logging.WARNING if is_transient(error) else logging.ERROR
            log.log(
                level, "the deadline %s of %s failed, it is tried again", row["kind"], row["subject"], exc_info=error
            )
            async with self._uow.begin() as tx:
                await tx.connection.execute(_POSTPONE, row["kind"], row["subject"])
        return 1

    async def _act(self, tx: Transaction, row: asyncpg.Record) -> None:
        parent = row["traceparent"] if tx.spans is None else tx.spans.deadline(row["kind"], row["traceparent"])
        context = TraceContext(row["correlation_id"], row["causation_id"], parent)
        with use_context(context):
            tx.publish(*await self._handlers[row["kind"]](tx, row["subject"]))
        tx.after_commit(DEADLINES_FIRED.labels(self._uow.service, row["kind"]).inc)
        tx.after_commit(partial(self._uow.observer.fired, row["kind"], context))
