"""Parked messages: those that could not be read or handled. Operators list, show and replay them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from runtime.messaging.bus import Delivery
from runtime.messaging.envelope import MAX_BODY
from runtime.observability.trace_context import new_id
from runtime.storage.database import Connection


@dataclass(frozen=True)
class Parked:
    """One parked message. `body` holds at most the first `MAX_BODY` bytes; `size` is that of the whole body, in
    bytes."""

    parked_id: UUID
    event_id: UUID | None
    routing_key: str
    error: str
    size: int
    parked_at: datetime
    state: str
    """`parked`, `replay` (asked for), or `replayed`."""
    body: bytes = b""


async def park(connection: Connection, event_id: UUID | None, delivery: Delivery, why: str) -> None:
    """Parks the message. The same body under the same key is kept once, and counted."""
    await connection.execute(
        "insert into parked (parked_id, event_id, routing_key, body, size, digest, error) "
        "values ($1, $2, $3, $4, $5, $6, $7) on conflict (digest, routing_key) where state <> 'replayed' "
        "do update set times = parked.times + 1",
        new_id(),
        event_id,
        printable(delivery.routing_key),
        delivery.body[:MAX_BODY],
        len(delivery.body),
        hashlib.sha256(delivery.body).digest(),
        printable(why),
    )


async def count_failure(connection: Connection, key: UUID, error: str) -> int:
    """Counts one more failure under `key`; returns the new number."""
    failures: int = await connection.fetchval(
        "insert into failures as f (event_id, error) values ($1, $2) on conflict (event_id) do update "
        "set failures = f.failures + 1, error = excluded.error returning failures",
        key,
        printable(error),
    )
    return failures


async def forget_failures(connection: Connection, key: UUID) -> None:
    """Deletes the count."""
    await connection.execute("delete from failures where event_id = $1", key)


def printable(text: str) -> str:
    """The text without NUL characters, which the database refuses, and at most 2,000 characters long."""
    return text[:2000].replace("\0", "\N{REPLACEMENT CHARACTER}")


async def listing(connection: Connection) -> list[Parked]:
    """All parked messages, oldest first, without their bodies."""
    rows = await connection.fetch(
        "select parked_id, event_id, routing_key, error, size, parked_at, state from parked order by parked_at"
    )
    return [Parked(**dict(row)) for row in rows]


async def show(connection: Connection, parked_id: UUID) -> Parked | None:
    """One parked message, with its body."""
    row = await connection.fetchrow(
        "select parked_id, event_id, routing_key, error, size, parked_at, state, body from parked where parked_id = $1",
        parked_id,
    )
    return Parked(**dict(row)) if row else None


NOW_BY_ERROR = r"""
select case when error like 'the service went down%' then 'crash'
            else coalesce(substring(error from '^failed(?: \d+ times, last)? with (\w+)'), 'unreadable') end, count(*)
from parked where state <> 'replayed' group by 1 order by 2 desc limit 20
"""
"""How many messages are parked, by the class of the error: the 20 most frequent ones."""


async def ask_for_replay(connection: Connection, ids: Sequence[UUID] | None) -> int:
    """Requests a replay of these messages (of all, for None); returns their number."""
    rows = await connection.fetch(
        "update parked set state = 'replay' where state = 'parked' and ($1::uuid[] is null or parked_id = any($1)) "
        "returning parked_id",
        ids,
    )
    return len(rows)
