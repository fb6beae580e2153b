"""The outbox: events are written in the transaction of their change. `runtime.messaging.relay` publishes them."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from runtime.messaging.envelope import MAX_BODY, Event
from runtime.observability.trace_context import TraceContext, new_id
from runtime.storage.database import Connection

MAX_DATA = MAX_BODY - 4096
"""Bytes: leaves room for the envelope."""

_COLUMNS = {
    "event_id": "uuid",
    "type": "text",
    "subject": "text",
    "dataschema": "text",
    "routing_key": "text",
    "mandatory": "bool",
    "correlation_id": "uuid",
    "causation_id": "uuid",
    "traceparent": "text",
    "data": "text",
}

# Counting first locks the subject's row until the commit: the events of one subject get their sequence and their place
# in the outbox in the same order, also from concurrent transactions. The event log keeps, without
# the data, what the relay deletes from the outbox.
_WRITE = """
published as (
    select one.* from {source} unnest({columns}) with ordinality as one ({names}, n)
), counted as (
    insert into event_sequence as s (subject, last, heard)
    select subject, count(*), count(*) filter (where mandatory) from published group by subject order by subject
    on conflict (subject) do update set last = s.last + excluded.last, heard = s.heard + excluded.heard
    returning s.subject, s.last
), numbered as (
    select e.*, c.last - count(*) over (partition by e.subject)
        + row_number() over (partition by e.subject order by e.n) as sequence
    from published e join counted c using (subject)
), logged as (
    insert into event_log (event_id, type, subject, sequence, correlation_id, causation_id)
    select event_id, type, subject, sequence, correlation_id, causation_id from numbered
), written as (
    insert into outbox ({names}, sequence, time) select {names}, sequence, clock_now() from numbered order by n
)
"""


class EventTooLarge(Exception):
    """The event is larger than consumers read, so its publisher refuses it."""

    def __init__(self, event: Event, size: int) -> None:
        super().__init__(f"{event.wire_name} of {event.subject} is {size} bytes large, at most {MAX_DATA} are sent")


@cache
def writing(first: int, source: str = "") -> str:
    """Common table expressions of a statement, which add events to the outbox in their order. Its parameters from
    `$first` on are their `columns`. With `source`, the name of another of its expressions, they are added only if that
    one has a row."""
    columns = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_COLUMNS.values(), first))
    return _WRITE.format(names=", ".join(_COLUMNS), source=source and f"{source},", columns=columns).strip()


def columns(service: str, events: Sequence[tuple[Event, TraceContext]]) -> list[list[Any]]:
    """The rows of the outbox for these events, column by column; first their ids, which are new.

    Raises `EventTooLarge`.
    """
    rows = [
        (
            new_id(),
            event.wire_name,
            event.subject,
            event.dataschema(),
            f"{service}.{event.wire_name}",
            bool(set(event.consumed_by) - {service}),  # no service consumes its own events
            context.correlation_id,
            context.causation_id,
            context.traceparent,
            _data(event),
        )
        for event, context in events
    ]
    return [list(column) for column in zip(*rows, strict=True)]


async def skip_ahead(connection: Connection, subjects: Collection[str]) -> None:
    """Continues the numbers of these subjects with one that no consumer has seen: a restored database knows only older
    ones. That is the minute, by the real clock. How many events were published is not known any more."""
    await connection.execute(
        "insert into event_sequence as s (subject, last, heard) "
        "select distinct subject, extract(epoch from now())::integer / 60, null::integer "
        "from unnest($1::text[]) as one (subject) order by subject "
        "on conflict (subject) do update set last = greatest(s.last, excluded.last), heard = null",
        list(subjects),
    )


def _data(event: Event) -> str:
    data = event.model_dump_json()
    if len(data.encode()) > MAX_DATA:
        raise EventTooLarge(event, len(data.encode()))
    return data


async def waiting(connection: Connection, held: Collection[int] = ()) -> tuple[int, float]:
    """How many events wait in the outbox, and the age of the oldest in seconds; without the `held` rows, whose events
    are published already."""
    row = await connection.fetchrow(_WAITING, list(held))
    return (row[0], row[1]) if row else (0, 0.0)


_WAITING = """
select (select count(*) from outbox where seq <> all($1::bigint[])),
       coalesce(extract(epoch from clock_now() - (
           select time from outbox where seq <> all($1::bigint[]) order by seq limit 1
       )), 0)::float8
"""
