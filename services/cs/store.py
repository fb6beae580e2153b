"""Cases, their messages, and what is known of orders and accounts. With `agents.py` the only SQL of `cs`.

Every function works inside the transaction that it is given.

Locks are taken in one order: `hearing` (what events and deadlines have in common), the turn and the agents on duty
(`agents.in_turn`), cases by their ids, what is known of orders, deadlines. Who needs several cases locks all of them
at once, before anything is done in one of them: `lock_all` for events and deadlines, `agents.lock_cases` for the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from contracts.accounts import AccountRegistered
from contracts.cs import Outcome
from contracts.orders import OrderPlaced
from contracts.words import OrderStatus, PaymentMethod
from runtime.messaging.unit_of_work import Transaction
from runtime.storage.database import Connection
from services.cs.domain import Case, State
from services.cs.words import Phrase

COLUMNS = (
    *("case_id", "arrived", "buyer_id", "correlation_id", "traceparent", "state", "agent_id", "returns_to"),
    *("order_id", "contacted", "respond_by", "cancellation_id", "outcome", "rating"),
)
"""What is read of a case."""
_CASE = f"select {', '.join(COLUMNS)} from cases"
_SLICE = """
(
    select floor(extract(epoch from clock_timestamp()) / greatest(0.001, extract(epoch from $1::interval)))::bigint
        as slice
) as this
"""
"""Real time in slices of one grace each."""
_ENDED = "('resolved', 'closed')"
_CONCERNED = "(coalesce(outcome, 'order_cancelled') = 'order_cancelled' or cancellation_id is not null)"
_QUEUED = "agent_id is null and state in ('waiting', 'seller_replied')"


@dataclass(frozen=True)
class Message:
    """One message of a case; `code` and `data` tell a reader of system messages what the text says in words."""

    seq: int
    kind: str
    sender_id: UUID | None
    text: str
    code: str | None
    data: dict[str, Any] | None
    at: datetime


@dataclass(frozen=True)
class Order:
    """What is known of an order. Only its status is, when its placing has not been heard of yet."""

    order_id: UUID
    status: OrderStatus
    buyer_id: UUID | None
    seller_id: UUID | None
    lines: list[dict[str, Any]] | None
    total: int | None
    payment_method: PaymentMethod | None
    placed_at: datetime | None


@dataclass(frozen=True)
class Dates:
    """When a case was opened, and when it ended; and the number of its last message."""

    opened_at: datetime
    ended_at: datetime | None
    last_seq: int


def case_of(row: asyncpg.Record) -> Case:
    """The case in a row with `COLUMNS`."""
    fields = {name: row[name] for name in COLUMNS}
    fields["state"] = State(row["state"])
    fields["contacted"] = tuple(row["contacted"])
    fields["outcome"] = Outcome(row["outcome"]) if row["outcome"] else None
    return Case(**fields)


def message_of(row: asyncpg.Record) -> Message:
    """The message in a row."""
    return Message(row["seq"], row["kind"], row["sender_id"], row["text"], row["code"], row["data"], row["at"])


async def open_case(
    tx: Transaction, case_id: UUID, buyer_id: UUID, correlation_id: UUID, traceparent: str, asks_for: UUID | None = None
) -> Case | None:
    """A new case at the end of the queue, or of that of the agent `asks_for`; None if the buyer has an open one."""
    row = await tx.connection.fetchrow(
        "insert into cases (case_id, buyer_id, state, opened_at, spoken_at, correlation_id, traceparent, returns_to) "
        "values ($1, $2, 'waiting', clock_now(), clock_now(), $3, $4, $5) on conflict do nothing returning arrived",
        case_id,
        buyer_id,
        correlation_id,
        traceparent,
        asks_for,
    )
    return Case(case_id, row["arrived"], buyer_id, correlation_id, traceparent, returns_to=asks_for) if row else None


async def lock_open_case_of(tx: Transaction, buyer_id: UUID) -> Case | None:
    """The buyer's open case, if there is one, locked."""
    row = await tx.connection.fetchrow(f"{_CASE} where buyer_id = $1 and state not in {_ENDED} for update", buyer_id)
    return case_of(row) if row else None


async def until_next_order(tx: Transaction, buyer_id: UUID, most: int, within: timedelta) -> timedelta | None:
    """How long a buyer has to wait who has handed over `most` orders `within` so long; None for any other."""
    wait: timedelta | None = await tx.connection.fetchval(
        "select m.at + $3::interval - clock_now() from cases c join messages m using (case_id) "
        "where c.buyer_id = $1 and c.spoken_at > clock_now() - $3::interval and m.code = 'order_handed_over' "
        "and m.at > clock_now() - $3::interval order by m.at desc offset $2 - 1 limit 1",
        buyer_id,
        most,
        within,
    )
    return wait


async def read(tx: Transaction, case_id: UUID) -> Case | None:
    """The case, or None."""
    row = await tx.connection.fetchrow(f"{_CASE} where case_id = $1", case_id)
    return case_of(row) if row else None


async def lock(tx: Transaction, case_id: UUID) -> Case | None:
    """As `read`, and nobody else can change the case until the transaction ends."""
    row = await tx.connection.fetchrow(f"{_CASE} where case_id = $1 for update", case_id)
    return case_of(row) if row else None


async def lock_all(tx: Transaction, ids: Sequence[UUID], order_ids: Sequence[UUID] = ()) -> None:
    """Locks the cases, and those about the orders."""
    await tx.connection.execute(
        "select from cases where case_id = any (array(select unnest($1::uuid[]) "
        f"union select case_id from cases where order_id = any($2) and {_CONCERNED})) order by case_id for update",
        ids,
        order_ids,
    )


async def about(tx: Transaction, *order_ids: UUID) -> Mapping[UUID, Sequence[Case]]:
    """For each of the orders, the cases about it that are open, or ended with or during its cancellation. To be called
    after `lock_all`; a case that was given one of the orders since, and is locked by another, is none of them."""
    rows = await tx.connection.fetch(
        f"{_CASE} where order_id = any($1) and {_CONCERNED} order by case_id for update skip locked", order_ids
    )
    return {order_id: [case_of(row) for row in rows if row["order_id"] == order_id] for order_id in order_ids}


async def save(tx: Transaction, case: Case) -> None:
    """Writes what may change in a case."""
    await tx.connection.execute(
        "update cases set state = $2, agent_id = $3, returns_to = $4, order_id = $5, contacted = $6, respond_by = $7, "
        "cancellation_id = $8, outcome = $9, rating = $10, "
        f"ended_at = case when $2 in {_ENDED} then coalesce(ended_at, clock_now()) end where case_id = $1",
        case.case_id,
        case.state,
        case.agent_id,
        case.returns_to,
        case.order_id,
        case.contacted,
        case.respond_by,
        case.cancellation_id,
        case.outcome,
        case.rating,
    )


async def of_buyer(tx: Transaction, buyer_id: UUID, state: State | None, before: UUID | None, limit: int) -> list[Case]:
    """A buyer's cases, newest first, older than the case `before`."""
    return await _newest(tx, "buyer_id", buyer_id, state, before, limit)


async def of_agent(tx: Transaction, agent_id: UUID, state: State | None, before: UUID | None, limit: int) -> list[Case]:
    """The cases that are or were with an agent, newest first, older than the case `before`."""
    return await _newest(tx, "agent_id", agent_id, state, before, limit)


async def _newest(
    tx: Transaction, whose: str, person: UUID, state: State | None, before: UUID | None, limit: int
) -> list[Case]:
    rows = await tx.connection.fetch(
        f"{_CASE} where {whose} = $1 and ($2::text is null or state = $2) and ($3::uuid is null or case_id < $3) "
        "order by case_id desc limit $4",
        person,
        state,
        before,
        limit,
    )
    return [case_of(row) for row in rows]


async def queue(tx: Transaction, after: UUID | None, limit: int) -> list[Case]:
    """The queue, from the front, behind the case `after`."""
    rows = await tx.connection.fetch(
        f"{_CASE} where {_QUEUED} and arrived > coalesce((select arrived from cases where case_id = $1), 0) "
        "order by arrived limit $2",
        after,
        limit,
    )
    return [case_of(row) for row in rows]


async def line(tx: Transaction) -> list[tuple[UUID, UUID]]:
    """Everybody in the queue, from the front: case and buyer."""
    rows = await tx.connection.fetch(f"select case_id, buyer_id from cases where {_QUEUED} order by arrived")
    return [(row["case_id"], row["buyer_id"]) for row in rows]


async def waiting(tx: Transaction) -> int:
    """How long the queue is."""
    length: int = await tx.connection.fetchval(f"select count(*) from cases where {_QUEUED}")
    return length


async def positions(tx: Transaction, cases: Sequence[Case]) -> Mapping[UUID, int]:
    """The places in the queue, from 1, of those cases that stand in it."""
    queued = [case for case in cases if case.is_queued]
    if not queued:
        return {}
    rows = await tx.connection.fetch(
        f"select case_id, position from (select case_id, row_number() over (order by arrived) as position from cases "
        f"where {_QUEUED} and arrived <= $2) as line where case_id = any($1)",
        [case.case_id for case in queued],
        max(case.arrived for case in queued),
    )
    return {row["case_id"]: row["position"] for row in rows}


async def dates(tx: Transaction, ids: Sequence[UUID]) -> Mapping[UUID, Dates]:
    """The dates of some cases."""
    rows = await tx.connection.fetch(
        "select case_id, opened_at, ended_at, last_seq from cases where case_id = any($1)", ids
    )
    return {row["case_id"]: Dates(row["opened_at"], row["ended_at"], row["last_seq"]) for row in rows}


async def say(tx: Transaction, case_id: UUID, words: Phrase | str, sender_id: UUID | None = None) -> Message:
    """Adds the next message to a case: somebody's words, or a phrase of the system's."""
    row = await tx.connection.fetchrow(
        "with c as (update cases set last_seq = last_seq + 1, spoken_at = clock_now() where case_id = $1 "
        "returning last_seq) "
        "insert into messages (case_id, seq, kind, sender_id, text, code, data, at) "
        "select $1, last_seq, $2, $3, $4, $5, $6, clock_now() from c "
        "returning seq, kind, sender_id, text, code, data, at",
        case_id,
        "system" if isinstance(words, Phrase) else "text",
        sender_id,
        words.text if isinstance(words, Phrase) else words,
        words.code if isinstance(words, Phrase) else None,
        words.data if isinstance(words, Phrase) else None,
    )
    assert row is not None
    return message_of(row)


async def messages(connection: Connection, case_id: UUID, after: int, limit: int) -> list[Message]:
    """The messages of a case behind number `after`, in their order."""
    rows = await connection.fetch(
        "select seq, kind, sender_id, text, code, data, at from messages where case_id = $1 and seq > $2 "
        "order by seq limit $3",
        case_id,
        after,
        limit,
    )
    return [message_of(row) for row in rows]


async def heads_of(connection: Connection, person: UUID, limit: int) -> list[tuple[UUID, int]]:
    """The newest cases of a buyer, or those with an agent, each with the number of its last message."""
    rows = await connection.fetch(
        "(select case_id, last_seq from cases where buyer_id = $1 order by case_id desc limit $2) union all "
        "(select case_id, last_seq from cases where agent_id = $1 order by case_id desc limit $2)",
        person,
        limit,
    )
    return [(row["case_id"], row["last_seq"]) for row in rows]


async def heads(connection: Connection, ids: Sequence[UUID], buyer_id: UUID | None) -> Mapping[UUID, int]:
    """The numbers of the last messages of those cases that there are, and that are the buyer's."""
    rows = await connection.fetch(
        "select case_id, last_seq from cases where case_id = any($1) and ($2::uuid is null or buyer_id = $2)",
        ids,
        buyer_id,
    )
    return {row["case_id"]: row["last_seq"] for row in rows}


async def last_before(connection: Connection, case_id: UUID, since: datetime) -> int:
    """The number of the last message that was written before that time; 0 if there is none."""
    last: int | None = await connection.fetchval(
        "select max(seq) from messages where case_id = $1 and at < $2", case_id, since
    )
    return last or 0


async def spoken_in(
    connection: Connection, people: Sequence[UUID], ids: Sequence[UUID], since: datetime
) -> list[tuple[Case, int]]:
    """The cases of these people, or among `ids`, with a message since that time, and the number of their last one."""
    rows = await connection.fetch(
        f"select {', '.join(COLUMNS)}, last_seq from cases where spoken_at >= $3 "
        "and (buyer_id = any($1) or agent_id = any($1) or returns_to = any($1) or case_id = any($2))",
        people,
        ids,
        since,
    )
    return [(case_of(row), row["last_seq"]) for row in rows]


async def due(tx: Transaction, kind: str, case_id: UUID) -> datetime:
    """When the deadline of a case fires that was set in this transaction."""
    at: datetime = await tx.connection.fetchval(
        "select due_at from deadlines where kind = $1 and subject = $2", kind, str(case_id)
    )
    return at


async def note_asked(tx: Transaction, case_id: UUID) -> None:
    """From now on an answer is waited for, in real time, which no demonstration moves."""
    await tx.connection.execute("update cases set asked_at = now() where case_id = $1", case_id)


async def since_asked(tx: Transaction, case_id: UUID) -> timedelta:
    """For how long an answer has been waited for, in real time."""
    waited: timedelta = await tx.connection.fetchval("select now() - asked_at from cases where case_id = $1", case_id)
    return waited


async def question(tx: Transaction, case_id: UUID) -> str:
    """What the seller was asked last."""
    asked: str = await tx.connection.fetchval(
        "select data ->> 'question' from messages where case_id = $1 and code = 'seller_contacted' "
        "order by seq desc limit 1",
        case_id,
    )
    return asked


async def begin_settling(tx: Transaction, case_id: UUID, grace: timedelta) -> None:
    """From now on the grace for events in flight runs: in real time, which no demonstration moves."""
    await tx.connection.execute("update cases set settles_at = now() + $2::interval where case_id = $1", case_id, grace)


async def wait_for_hearing(tx: Transaction) -> None:
    """Waits until the events that are being handled right now have had their effect, and has the next ones wait."""
    await tx.connection.execute("select from hearing for share")


async def has_settled(tx: Transaction, case: Case, grace: timedelta) -> bool:
    """Whether the grace is over, and nothing has arrived in it that was published before the case's 24 hours ended."""
    settled = await tx.connection.fetchval(
        f"select settles_at <= now() and not exists (select from hearing, {_SLICE} where "
        "(hearing.slice >= this.slice - 1 and oldest < $3) or (hearing.slice = this.slice and oldest_before < $3)) "
        "from cases where case_id = $2",
        grace,
        case.case_id,
        case.respond_by,
    )
    return bool(settled)


async def note_heard(tx: Transaction, at: datetime, grace: timedelta) -> None:
    """An event has arrived that was published at `at`: of each slice of time, the oldest is kept."""
    await tx.connection.execute("select from hearing for no key update")
    await tx.connection.execute(
        "update hearing set slice = this.slice, "
        "oldest = least(case when hearing.slice = this.slice then oldest end, $2), "
        "oldest_before = case hearing.slice when this.slice then oldest_before when this.slice - 1 then oldest end "
        f"from {_SLICE} where hearing.slice <> this.slice or oldest > $2",
        grace,
        at,
    )


async def note_account(tx: Transaction, account: AccountRegistered) -> None:
    """Keeps who somebody is."""
    await tx.connection.execute(
        "insert into accounts (account_id, role, name) values ($1, $2, $3) on conflict do nothing",
        account.account_id,
        account.role,
        account.name,
    )


async def names(tx: Transaction, ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """The names of those accounts that have been heard of."""
    rows = await tx.connection.fetch("select account_id, name from accounts where account_id = any($1)", ids)
    return {row["account_id"]: row["name"] for row in rows}


async def note_order(tx: Transaction, placed: OrderPlaced, sequence: int) -> None:
    """Keeps a new order. Whether it waits for its payment depends on the way it is paid (cash on delivery does not)."""
    status = OrderStatus.PROCESSING if placed.payment_method is PaymentMethod.COD else OrderStatus.UNPAID
    await tx.connection.execute(
        "insert into orders as o (order_id, status, sequence, buyer_id, seller_id, lines, total, payment_method, "
        "placed_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (order_id) do update set "
        "buyer_id = excluded.buyer_id, seller_id = excluded.seller_id, lines = excluded.lines, "
        "total = excluded.total, payment_method = excluded.payment_method, placed_at = excluded.placed_at",
        placed.order_id,
        status,
        sequence,
        placed.buyer_id,
        placed.seller_id,
        [line.model_dump(mode="json") for line in placed.lines],
        placed.total,
        placed.payment_method,
        placed.placed_at,
    )


async def note_status(tx: Transaction, news: Mapping[UUID, int], status: OrderStatus) -> None:
    """Keeps how orders stand (order: sequence); what is heard late, after something newer, changes nothing."""
    await tx.connection.execute(
        "insert into orders as o (order_id, status, sequence) select order_id, $3, sequence "
        "from unnest($1::uuid[], $2::integer[]) as one (order_id, sequence) order by order_id "
        "on conflict (order_id) do update "
        "set status = excluded.status, sequence = excluded.sequence where o.sequence < excluded.sequence",
        list(news),
        list(news.values()),
        status,
    )


async def orders(tx: Transaction, ids: Sequence[UUID]) -> Mapping[UUID, Order]:
    """What is known of some orders."""
    rows = await tx.connection.fetch(
        "select order_id, status, buyer_id, seller_id, lines, total, payment_method, placed_at from orders "
        "where order_id = any($1)",
        ids,
    )
    return {row["order_id"]: Order(**{**row, "status": OrderStatus(row["status"])}) for row in rows}


async def refund_issued(tx: Transaction, case_id: UUID, sequence: int, refund_id: UUID) -> bool:
    """Whether this is news; what `refunds` said before it is none from now on."""
    news = await tx.connection.fetchval(
        "update cases set refund_sequence = $2, told_refunds = told_refunds || $3::uuid "
        "where case_id = $1 and refund_sequence < $2 and $3 <> all (told_refunds) returning true",
        case_id,
        sequence,
        refund_id,
    )
    return bool(news)


async def refund_delayed(tx: Transaction, case_id: UUID, sequence: int, refund_id: UUID) -> bool:
    """Whether this is the first news of this refund's delay."""
    news = await tx.connection.fetchval(
        "update cases set refund_sequence = $2, told_delay = $3 "
        "where case_id = $1 and refund_sequence < $2 and told_delay is distinct from $3 and $3 <> all (told_refunds) "
        "returning true",
        case_id,
        sequence,
        refund_id,
    )
    return bool(news)
