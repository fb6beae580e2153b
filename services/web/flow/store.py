"""The last traces in the database. The only SQL of `web`, whose table keeps its name, `stories`."""

import json
from collections.abc import Sequence

from runtime.storage.database import Connection
from services.web.flow.records import read_records
from services.web.flow.traces import Trace

KEPT = 200
"""Traces that are kept; older ones are deleted."""


async def load(connection: Connection, stories: Sequence[str] | None = None) -> list[Trace]:
    """These traces, or all that are kept, the oldest first."""
    rows = await connection.fetch(
        "select story, records from stories where $1::text[] is null or story = any($1) order by last", stories
    )
    return [_trace(row["story"], row["records"]) for row in rows]


async def now(connection: Connection) -> float:
    """The database's time, in seconds since 1970."""
    moment: float = await connection.fetchval("select extract(epoch from clock_now())::float8")
    return moment


def _trace(correlation_id: str, records: object) -> Trace:
    trace = Trace(correlation_id, merged=True)
    trace.add(read_records(records)[0] if isinstance(records, list) else [])
    trace.unsaved = False
    return trace


async def save(connection: Connection, traces: Sequence[Trace]) -> None:
    """Saves the traces, and deletes the oldest beyond `KEPT`."""
    ordered = sorted(traces, key=lambda trace: trace.correlation_id)  # so that two replicas do not wait for each other
    await connection.execute(
        "insert into stories (story, last, records) "
        "select story, to_timestamp(last), records::jsonb "
        "from unnest($1::text[], $2::float8[], $3::text[]) as new (story, last, records) "
        "on conflict (story) do update set last = excluded.last, records = excluded.records "
        "where jsonb_array_length(stories.records) <= jsonb_array_length(excluded.records)",
        [trace.correlation_id for trace in ordered],
        [trace.last for trace in ordered],
        [json.dumps([record.kept() for record in trace.records]) for trace in ordered],
    )
    await connection.execute(
        "delete from stories where story in (select story from stories order by last desc offset $1)", KEPT
    )
