"""Parked messages: those that could not be read or handled. Operators list, show, replay and discard them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from pydantic_core import from_json

from runtime.errors import Refusal
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
    """`parked`, `replay` (asked for), `replayed`, or `discarded`."""
    times: int = 1
    """How often it was delivered and parked."""
    body: bytes = b""


class NotParked(Refusal):
    """The messages were replayed or discarded meanwhile."""

    code, title = "not_parked", "None of these messages is parked any more"


async def park(connection: Connection, event_id: UUID | None, delivery: Delivery, why: str) -> None:
    """Parks the message. The same body under the same key is kept once, and counted; after it was discarded it is
    parked again. An unreadable message may have an event id, too."""
    its_id, *other_ids = _ids_in(delivery.body)
    await connection.execute(
        "insert into parked (parked_id, event_id, routing_key, body, size, digest, error, subject, correlation_id) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (digest, routing_key) where state <> 'replayed' "
        "do update set times = parked.times + 1, "
        "state = case when parked.state = 'discarded' then 'parked' else parked.state end",
        new_id(),
        event_id or its_id,
        printable(delivery.routing_key),
        delivery.body[:MAX_BODY],
        len(delivery.body),
        hashlib.sha256(delivery.body).digest(),
        printable(why),
        *other_ids,
    )


def _ids_in(body: bytes) -> list[UUID | None]:
    """Event id, subject and correlation id, as far as an unreadable message has them."""
    try:
        message = from_json(body) if len(body) <= MAX_BODY else None
    except ValueError:
        message = None
    return [_id(message, field) for field in ("id", "subject", "correlationid")]


def _id(message: object, field: str) -> UUID | None:
    try:
        return UUID(message[field]) if isinstance(message, dict) else None
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


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


_READ = "select parked_id, event_id, routing_key, error, size, parked_at, state, times from parked "
_WAITING = "where state in ('parked', 'replay') order by parked_at desc limit $1"
_ABOUT = """
where parked_id = any($1) or event_id = any($1) or subject = any($1) or correlation_id = any($1)
order by parked_at limit 100
"""


async def listing(connection: Connection) -> list[Parked]:
    """All rows, in every state, oldest first, without their bodies."""
    return _parked(await connection.fetch(_READ + "order by parked_at"))


async def waiting(connection: Connection, limit: int) -> tuple[int, list[Parked]]:
    """How many messages are parked or wait for their replay, and the latest of them, newest first."""
    number: int = await connection.fetchval("select count(*) from parked where state in ('parked', 'replay')")
    return number, _parked(await connection.fetch(_READ + _WAITING, limit))


async def about(connection: Connection, ids: Sequence[UUID]) -> list[Parked]:
    """The parked messages with one of these ids, of whatever kind."""
    return _parked(await connection.fetch(_READ + _ABOUT, ids))


def _parked(rows: Sequence[asyncpg.Record]) -> list[Parked]:
    return [Parked(**dict(row)) for row in rows]


async def show(connection: Connection, parked_id: UUID) -> Parked | None:
    """One parked message, with its body."""
    row = await connection.fetchrow(
        "select parked_id, event_id, routing_key, error, size, parked_at, state, times, body "
        "from parked where parked_id = $1",
        parked_id,
    )
    return Parked(**dict(row)) if row else None


NOW_BY_ERROR = r"""
select case when error like 'the service went down%' then 'crash'
            else coalesce(substring(error from '^failed(?: \d+ times, last)? with (\w+)'), 'unreadable') end, count(*)
from parked where state in ('parked', 'replay') group by 1 order by 2 desc limit 20
"""
"""How many messages are parked, by the class of the error: the 20 most frequent ones."""


async def ask_for_replay(connection: Connection, ids: Sequence[UUID] | None, by: UUID | None = None) -> int:
    """Requests a replay of these messages (of all, for None), and notes that in the audit log; returns their number.
    `by`: the operator, or None for the command line."""
    rows = await connection.fetch(
        "with asked as (update parked set state = 'replay' "
        "where state = 'parked' and ($1::uuid[] is null or parked_id = any($1)) returning parked_id) "
        "insert into audit_log (account_id, action, subject) select $2, 'replay', parked_id from asked returning entry",
        ids,
        by,
    )
    return len(rows)


async def discard(connection: Connection, ids: Sequence[UUID], by: UUID, reason: str) -> int:
    """Discards these messages, for good unless they arrive again, and notes that in the audit log; returns their
    number."""
    rows = await connection.fetch(
        "with discarded as (update parked set state = 'discarded' "
        "where state = 'parked' and parked_id = any($1) returning parked_id) "
        "insert into audit_log (account_id, action, subject, reason) "
        "select $2, 'discard', parked_id, $3 from discarded returning entry",
        ids,
        by,
        reason,
    )
    return len(rows)
