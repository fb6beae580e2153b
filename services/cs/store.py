"""Cases, their messages, and what `cs` knows of orders. Further SQL is in `agents.py` and `records.py`. Every
function works inside the transaction that it is given.

Locks are taken in one order: `consumed_until` (what events and deadlines have in common), the turn and the agents on
duty (`agents.in_turn`), cases by their ids, what is known of orders, deadlines. A transaction that needs several cases
locks all of them at once, before it changes one: `lock_all` for events and deadlines, `agents.lock_cases` for the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import BaseModel

from contracts.cs import Outcome
from contracts.orders import OrderPlaced
from contracts.words import OrderStatus, PaymentMethod, known
from runtime.live.conversations import Change
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import TraceContext
from runtime.storage.database import Connection
from services.cs.domain import Case, State

COLUMNS = tuple(column.name for column in fields(Case))
"""What is read of a case."""
CHANGING = ("case_id", *COLUMNS[5:])
"""What is written of it, after its id."""
_CASE = "select * from cases"
MESSAGE = "seq, kind, sender_id, text, code, data, at"
"""What is read of a message."""
_ENDED = "('resolved', 'closed')"
_SAVE = (
    f"update cases set {', '.join(f'{name} = ${n}' for n, name in enumerate(CHANGING[1:], start=2))}, "
    f"ended_at = case when $2 in {_ENDED} then coalesce(ended_at, clock_now()) end where case_id = $1"
)
_SLICE = (
    "(select floor(extract(epoch from clock_timestamp()) / greatest(0.001, extract(epoch from $1::interval)))::bigint "
    "as slice) as this"
)
"""Real time in slices of one settling time each."""
_CONCERNED = "(coalesce(outcome, 'order_cancelled') = 'order_cancelled' or cancellation_id is not null)"


@dataclass(frozen=True)
class Phrase:
    """The content of a system message: a stable code, its text, and the facts for a page with a text of its own."""

    code: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


class Message(BaseModel):
    """One message of a case; `code` and `data` are those of a phrase."""

    seq: int
    kind: str
    sender_id: UUID | None
    text: str
    code: str | None
    data: dict[str, Any] | None
    at: datetime


@dataclass(frozen=True)
class Order:
    """What is known of an order; only its status and its cancelled pieces if `OrderPlaced` has not arrived yet."""

    order_id: UUID
    status: OrderStatus
    buyer_id: UUID | None
    seller_id: UUID | None
    lines: list[dict[str, Any]] | None
    total: int | None
    payment_method: str | None
    placed_at: datetime | None
    parts: dict[str, list[dict[str, Any]]]  # by cancellation


_ORDER_COLUMNS = ", ".join(column.name for column in fields(Order))


def case_of(row: asyncpg.Record) -> Case:
    """The case in a row with `COLUMNS`."""
    typed: dict[str, Any] = {"state": State(row["state"]), "contacted": tuple(row["contacted"])}
    typed["outcome"] = known(Outcome, row["outcome"]) if row["outcome"] else None
    return Case(**{name: row[name] for name in COLUMNS} | typed)


def message_of(row: asyncpg.Record) -> Message:
    """The message in a row."""
    return Message(**{name: row[name] for name in Message.model_fields})


async def open_case(
    tx: Transaction, case_id: UUID, buyer_id: UUID, context: TraceContext, asks_for: UUID | None
) -> Case | None:
    """A new case at the end of the queue, or of that of the agent `asks_for`; None if the buyer has an open one."""
    trace = (context.correlation_id, context.traceparent)
    row = await tx.connection.fetchrow(
        "insert into cases (case_id, buyer_id, state, opened_at, spoken_at, correlation_id, traceparent, returns_to) "
        "values ($1, $2, 'waiting', clock_now(), clock_now(), $3, $4, $5) on conflict do nothing returning arrived",
        *(case_id, buyer_id, *trace, asks_for),
    )
    return Case(case_id, row["arrived"], buyer_id, *trace, returns_to=asks_for) if row else None


async def _one(tx: Transaction, condition: str, value: UUID) -> Case | None:
    row = await tx.connection.fetchrow(f"{_CASE} where {condition}", value)
    return case_of(row) if row else None


async def read(tx: Transaction, case_id: UUID) -> Case | None:
    """The case, or None."""
    return await _one(tx, "case_id = $1", case_id)


async def lock(tx: Transaction, case_id: UUID) -> Case | None:
    """As `read`; no other transaction can change the case until this one ends."""
    return await _one(tx, "case_id = $1 for update", case_id)


async def open_case_of(tx: Transaction, buyer_id: UUID, *, lock: bool = False) -> Case | None:
    """The buyer's open case, if there is one; locked if `lock`."""
    return await _one(tx, f"buyer_id = $1 and state not in {_ENDED} {'for update' if lock else ''}", buyer_id)


async def lock_all(tx: Transaction, ids: Sequence[UUID], order_ids: Sequence[UUID] = ()) -> None:
    """Locks the cases, and those about the orders."""
    await tx.connection.execute(
        "select from cases where case_id = any (array(select unnest($1::uuid[]) "
        f"union select case_id from cases where order_id = any($2) and {_CONCERNED})) order by case_id for update",
        *(ids, order_ids),
    )


async def about(tx: Transaction, *order_ids: UUID) -> Mapping[UUID, Sequence[Case]]:
    """For each of the orders, the cases about it that are open, or ended with or during its cancellation. To be called
    after `lock_all`; a case that was given one of the orders since, and is locked by another, is none of them."""
    sql = f"{_CASE} where order_id = any($1) and {_CONCERNED} order by case_id for update skip locked"
    rows = await tx.connection.fetch(sql, order_ids)
    return {order_id: [case_of(row) for row in rows if row["order_id"] == order_id] for order_id in order_ids}


async def save(tx: Transaction, case: Case) -> None:
    """Writes what may change in a case."""
    await tx.connection.execute(_SAVE, *(getattr(case, name) for name in CHANGING))


async def say(tx: Transaction, case_id: UUID, words: Phrase | str, sender_id: UUID | None = None) -> Message:
    """Adds the next message to a case: the words of a person, or a phrase of the system."""
    phrase = words if isinstance(words, Phrase) else None
    row = await tx.connection.fetchrow(
        "with c as (update cases set last_seq = last_seq + 1, spoken_at = clock_now() where case_id = $1 "
        f"returning last_seq) insert into messages (case_id, {MESSAGE}) "
        f"select $1, last_seq, $2, $3, $4, $5, $6, clock_now() from c returning {MESSAGE}",
        *(case_id, "system" if phrase else "text", sender_id, phrase.text if phrase else words),
        *(phrase and phrase.code, phrase and phrase.data),
    )
    assert row is not None
    return message_of(row)


async def messages(tx: Transaction, case_id: UUID, after: int, limit: int) -> list[Message]:
    """The messages of a case behind number `after`, in their order."""
    sql = f"select {MESSAGE} from messages where case_id = $1 and seq > $2 order by seq limit $3"
    return [message_of(row) for row in await tx.connection.fetch(sql, case_id, after, limit)]


async def due(tx: Transaction, kind: str, case_id: UUID) -> datetime:
    """When the deadline of a case fires that was set in this transaction."""
    sql = "select due_at from deadlines where kind = $1 and subject = $2"
    at: datetime = await tx.connection.fetchval(sql, kind, str(case_id))
    return at


async def note_asked(tx: Transaction, case_id: UUID) -> None:
    """From now on the case waits for an answer, in real time, which no demonstration moves."""
    await tx.connection.execute("update cases set asked_at = now() where case_id = $1", case_id)


async def since_asked(tx: Transaction, case_id: UUID) -> timedelta:
    """For how long the case has waited for an answer, in real time."""
    waited: timedelta = await tx.connection.fetchval("select now() - asked_at from cases where case_id = $1", case_id)
    return waited


async def question(tx: Transaction, case_id: UUID) -> str:
    """What the seller was asked last."""
    where = "case_id = $1 and code = 'seller_contacted'"
    sql = f"select data ->> 'question' from messages where {where} order by seq desc limit 1"
    asked: str = await tx.connection.fetchval(sql, case_id)
    return asked


async def begin_settling(tx: Transaction, case_id: UUID, settling: timedelta) -> None:
    """From now on the case waits for events in flight: in real time, which no demonstration moves."""
    sql = "update cases set settles_at = now() + $2::interval where case_id = $1"
    await tx.connection.execute(sql, case_id, settling)


async def note_consumed(tx: Transaction, at: datetime, settling: timedelta) -> None:
    """An event has arrived that was published at `at`: of each partition and slice of time, the oldest is kept."""
    await tx.connection.execute(
        f"insert into consumed_until as c (partition, slice, oldest) select $3, slice, $2 from {_SLICE} on conflict "
        "(partition) do update set slice = excluded.slice, oldest = least(case when c.slice = excluded.slice then "
        "c.oldest end, excluded.oldest), oldest_before = case c.slice when excluded.slice then c.oldest_before when "
        "excluded.slice - 1 then c.oldest end where c.slice <> excluded.slice or c.oldest > excluded.oldest",
        *(settling, at, tx.partition),
    )


async def lock_consumed(tx: Transaction) -> None:
    """Waits for the events that are in a handler, and makes the next ones wait, also the first of a partition."""
    await tx.connection.execute("lock table consumed_until in share mode")


async def has_settled(tx: Transaction, case: Case, settling: timedelta) -> bool:
    """Whether the settling time of the case is over, no event from before the end of its 24 hours arrived in it, and no
    deed of the seller is parked here, which an operator may have replayed or discard."""
    sql = f"""select settles_at <= now() and not exists (select from consumed_until as c, {_SLICE} where c.slice in
            (this.slice - 1, this.slice) and (oldest < $3 or (c.slice = this.slice and oldest_before < $3)))
        and not exists (select from parked where state in ('parked', 'replay') and subject = order_id
            and routing_key in ('chat.SellerReplied', 'orders.OrderPacked', 'orders.OrderShipped'))
        from cases where case_id = $2"""
    return bool(await tx.connection.fetchval(sql, settling, case.case_id, case.respond_by))


async def note_order(tx: Transaction, placed: OrderPlaced, sequence: int) -> None:
    """Keeps a new order. Whether it waits for its payment depends on the way it is paid (cash on delivery does not)."""
    status = OrderStatus.PROCESSING if placed.payment_method is PaymentMethod.COD else OrderStatus.UNPAID
    lines = [line.model_dump(mode="json") for line in placed.lines]
    await tx.connection.execute(
        "insert into orders as o (order_id, status, sequence, buyer_id, seller_id, lines, total, payment_method, "
        "placed_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (order_id) do update set "
        "buyer_id = excluded.buyer_id, seller_id = excluded.seller_id, lines = excluded.lines, "
        "total = excluded.total, payment_method = excluded.payment_method, placed_at = excluded.placed_at",
        *(placed.order_id, status, sequence, placed.buyer_id, placed.seller_id, lines, placed.total),
        *(placed.payment_method, placed.placed_at),
    )


async def note_status(tx: Transaction, sequences: Mapping[UUID, int], status: OrderStatus) -> None:
    """Keeps the status of orders (order: sequence); what arrives after something newer changes nothing."""
    await tx.connection.execute(
        "insert into orders as o (order_id, status, sequence) select order_id, $3, sequence "
        "from unnest($1::uuid[], $2::integer[]) as one (order_id, sequence) order by order_id "
        "on conflict (order_id) do update "
        "set status = excluded.status, sequence = excluded.sequence where o.sequence < excluded.sequence",
        *(list(sequences), list(sequences.values()), status),
    )


async def note_part(tx: Transaction, order_id: UUID, cancellation_id: UUID, lines: list[dict[str, Any]]) -> bool:
    """Keeps which pieces of an order are cancelled; False if that was kept already."""
    sql = """insert into orders as o (order_id, status, sequence, parts) values ($1, 'processing', 0, $2) on conflict
        (order_id) do update set parts = o.parts || excluded.parts where not o.parts ? $3 returning true"""
    return bool(await tx.connection.fetchval(sql, order_id, {str(cancellation_id): lines}, str(cancellation_id)))


async def orders(tx: Transaction, ids: Sequence[UUID]) -> Mapping[UUID, Order]:
    """What is known of some orders."""
    rows = await tx.connection.fetch(f"select {_ORDER_COLUMNS} from orders where order_id = any($1)", ids)
    return {row["order_id"]: Order(**{**row, "status": OrderStatus(row["status"])}) for row in rows}


async def shows_refund(tx: Transaction, case_id: UUID, refund_id: UUID, *codes: str) -> bool:
    """Whether the case has a message about this refund with one of the codes."""
    sql = "select exists (select from messages where case_id = $1 and code = any($2) and data ->> 'refund_id' = $3)"
    return bool(await tx.connection.fetchval(sql, case_id, codes, str(refund_id)))


async def watched(connection: Connection, account_id: UUID) -> Sequence[UUID]:
    """None: customer service shows no presence."""
    return []


async def readable(connection: Connection, reader: UUID | None, ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """The last `seq` of those cases whose buyer the reader is; for None, of all of them."""
    sql = "select case_id, last_seq from cases where case_id = any($1) and ($2::uuid is null or buyer_id = $2)"
    return {row["case_id"]: row["last_seq"] for row in await connection.fetch(sql, ids, reader)}


async def changed(
    connection: Connection, accounts: Sequence[UUID], ids: Sequence[UUID], since: datetime
) -> list[Change]:
    """The cases with a message since then that are among `ids`, or have a member among `accounts`."""
    rows = await connection.fetch(
        "select * from cases where spoken_at >= $3 "
        "and (buyer_id = any($1) or agent_id = any($1) or returns_to = any($1) or case_id = any($2))",
        accounts,
        ids,
        since,
    )
    return [Change(row["case_id"], row["last_seq"], case_of(row).members) for row in rows]
