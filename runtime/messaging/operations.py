"""What a service's database knows of its work: for the operator's console."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from runtime.messaging import outbox, parked, partitioning
from runtime.messaging.masking import masked_error
from runtime.messaging.parked import Parked
from runtime.messaging.partitioning import Partitioning
from runtime.messaging.relay import APPLICATION, LEADER_LOCK
from runtime.storage.database import Connection

LATE = 5
"""Seconds after which a deadline is overdue: one fires within two seconds, after the ones before it."""
MAX_FOUND = 500
"""Events, and deadlines, that one search returns at the most."""


@dataclass(frozen=True)
class Replica:
    """A process of the service that is connected to its database."""

    name: str
    since: datetime
    leads: bool
    """Whether its relay publishes the outbox."""


@dataclass(frozen=True)
class DeadlineCount:
    """The deadlines of one kind; `failing` are those whose handler has failed."""

    kind: str
    pending: int
    overdue: int
    failing: int
    next_due: datetime


@dataclass(frozen=True)
class Workload:
    """What there is to do; `outbox_age` is that of the oldest event in the outbox, in seconds."""

    replicas: Sequence[Replica]
    outbox: int
    outbox_age: float | None
    partitioning: Partitioning | None
    parked: int
    deadlines: Sequence[DeadlineCount]


@dataclass(frozen=True)
class DueDeadline:
    """A deadline that has not fired."""

    kind: str
    subject: str
    due_at: datetime
    overdue: bool
    failures: int
    correlation_id: UUID


@dataclass(frozen=True)
class LoggedEvent:
    """An event that the service has written; `published` once the bus has confirmed it."""

    event_id: UUID
    type: str
    subject: str
    sequence: int
    correlation_id: UUID
    causation_id: UUID
    at: datetime
    published: bool


@dataclass(frozen=True)
class HandledEvent:
    """An event of another service that has had its effect here."""

    event_id: UUID
    at: datetime


@dataclass(frozen=True)
class Record:
    """Something that the service keeps, such as an order. `facts` have no personal data; `related` are ids under which
    more is found."""

    kind: str
    id: UUID
    at: datetime
    facts: Mapping[str, UUID | str | int | bool | datetime | None]
    related: Sequence[UUID] = ()


FindRecords = Callable[[Connection, Sequence[UUID]], Awaitable[Sequence[Record]]]
"""What a service keeps under these ids."""


@dataclass(frozen=True)
class Found:
    """What a service knows under some ids: of events, subjects, traces, and of what it keeps."""

    events: Sequence[LoggedEvent] = ()
    handled: Sequence[HandledEvent] = ()
    parked: Sequence[Parked] = ()
    deadlines: Sequence[DueDeadline] = ()
    records: Sequence[Record] = field(default=())


async def nothing(connection: Connection, ids: Sequence[UUID]) -> Sequence[Record]:
    """Of a service that keeps nothing to be found."""
    return []


async def workload(connection: Connection, held: Collection[int]) -> Workload:
    """`held`: the rows in the outbox that are published already."""
    unpublished, age = await outbox.waiting(connection, held)
    counted = await connection.fetch(_DEADLINE_COUNTS, LATE)
    return Workload(
        replicas=[Replica(**row) for row in await connection.fetch(_REPLICAS, APPLICATION, LEADER_LOCK)],
        outbox=unpublished,
        outbox_age=age if unpublished else None,
        partitioning=await partitioning.read(connection),
        parked=await connection.fetchval("select count(*) from parked where state in ('parked', 'replay')"),
        deadlines=[DeadlineCount(**row) for row in counted],
    )


async def deadlines(connection: Connection, limit: int) -> Sequence[DueDeadline]:
    """The deadlines that have not fired, the most overdue first."""
    rows = await connection.fetch(f"{_DEADLINES} order by due_at limit $2", LATE, limit)
    return [DueDeadline(**row) for row in rows]


async def search(connection: Connection, ids: Sequence[UUID], find: FindRecords) -> Found:
    """All that the database has under these ids."""
    texts = [str(one) for one in ids]
    events = await connection.fetch(_EVENTS, ids, texts, MAX_FOUND)
    handled = await connection.fetch("select event_id, at from inbox where event_id = any($1)", ids)
    due = await connection.fetch(
        f"{_DEADLINES} where subject = any($2) or correlation_id = any($3) order by due_at limit $4",
        LATE,
        texts,
        ids,
        MAX_FOUND,
    )
    return Found(
        events=[LoggedEvent(**row) for row in events],
        handled=[HandledEvent(**row) for row in handled],
        parked=[safe(one) for one in await parked.about(connection, ids)],
        deadlines=[DueDeadline(**row) for row in due],
        records=await find(connection, ids),
    )


def safe(message: Parked) -> Parked:
    """The parked message without its body, and with a masked error."""
    return Parked(**{**vars(message), "body": b"", "error": masked_error(message.error)})


_REPLICAS = """
select substr(application_name, length($1::text) + 1) as name, backend_start as since,
       exists(select from pg_locks l where l.pid = a.pid and l.locktype = 'advisory' and l.granted
              and l.classid = 0 and l.objid = $2::bigint::oid and l.objsubid = 1) as leads
from pg_stat_activity a where datname = current_database() and starts_with(application_name, $1)
order by since
"""
_DEADLINE_COUNTS = """
select kind, count(*) as pending, count(*) filter (where due_at < clock_now() - make_interval(secs => $1)) as overdue,
       count(*) filter (where failures > 0) as failing, min(due_at) as next_due
from deadlines group by kind order by kind
"""
_DEADLINES = """
select kind, subject, due_at, due_at < clock_now() - make_interval(secs => $1) as overdue, failures, correlation_id
from deadlines
"""
# Three searches by index: one condition with `or` is planned as a scan of the whole table.
_EVENTS = """
select event_id, type, subject, sequence, correlation_id, causation_id, at,
       not exists(select from outbox o where o.event_id = e.event_id) as published
from (
    select * from event_log where event_id = any($1)
    union select * from event_log where correlation_id = any($1)
    union select * from event_log where subject = any($2)
) e order by at, event_id limit $3
"""
