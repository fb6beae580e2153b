"""Threads and their messages: with `read_models` and `records` the only SQL of `chat`. Every function works in the
transaction, or on the connection, that it is given.

Locks are taken in one order: the consumer's (`lock_consumer`), threads by their ids, read models, deadlines. Handlers
of events and deadlines first lock all their threads (`lock_threads`); a route locks one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from contracts.orders import Pieces
from contracts.words import known
from runtime.live.conversations import Change
from runtime.messaging.unit_of_work import Transaction
from runtime.storage.database import Connection
from services.chat.domain import STATUSES, Code, Demand, Draft, Kind, Message, Order, Thread

CONSUMER_LOCK = 0x0B0A7A7
MAX_WATCHED = 500
"""Accounts whose presence one client is sent."""

_THREAD = """
select t.*, o.status_rank, o.title, b.name as buyer_name, s.name as seller_name,
       m.seq, m.kind, m.sender_id, m.text, m.code, m.data, m.at, q.case_id, q.question, q.respond_by
from threads t join orders_known o using (order_id)
left join people b on b.account_id = t.buyer_id left join people s on s.account_id = t.seller_id
left join messages m on m.thread_id = t.thread_id and m.seq = t.last_seq
left join lateral (
    select case_id, question, respond_by from questions where order_id = t.order_id and state = 'open'
    order by respond_by limit 1
) q on true
"""

_LOCK = "for update of t"
_DEMANDED = "and t.order_id in (select order_id from questions where state = 'open')"

_POST = """
with before as (
    select thanks_due as was_due from threads
    where thread_id = $1 and ($3::uuid is null or $3::uuid in (buyer_id, seller_id)) for no key update
), t as (
    update threads set last_seq = last_seq + 1, active_at = greatest(active_at, clock_now()),
        buyer_read = case when buyer_id = $3::uuid then last_seq + 1 else buyer_read end,
        seller_read = case when seller_id = $3::uuid then last_seq + 1 else seller_read end,
        asked = (asked or buyer_id is not distinct from $3::uuid) and $2::text <> 'guide',
        guided = guided or $2::text = 'guide',
        thanks_due = thanks_due and buyer_id is distinct from $3::uuid
    from before where thread_id = $1
    returning *
), m as (
    insert into messages (thread_id, seq, kind, sender_id, text, code, data, at)
    select thread_id, last_seq, $2::text, $3::uuid, $4::text, $5::text, $6::jsonb, active_at from t
)
select * from t
"""
"""Waits for the row, and then reads what it was."""


@dataclass(frozen=True)
class Posted:
    """A message that was written, and the state of its thread."""

    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    unread: dict[UUID, int]
    """How many messages each member has not read, this one included."""
    thanked: bool
    """Whether the buyer owed thanks until this message."""
    message: Message


_FIELDS = [one.name for one in fields(Thread) if one.name not in ("status", "last_message", "pending_lines", "demand")]


def _message(row: asyncpg.Record) -> Message:
    code = known(Code, row["code"]) if row["code"] else None  # perhaps of a newer version, as the kind
    content = (known(Kind, row["kind"]), row["sender_id"], row["text"], code, row["data"])
    return Message(*content, seq=row["seq"], at=row["at"])


def _thread(row: asyncpg.Record) -> Thread:
    lines = row["pending_lines"]
    return Thread(
        **{name: row[name] for name in _FIELDS},
        status=STATUSES[row["status_rank"]],
        last_message=_message(row) if row["seq"] else None,
        pending_lines=lines and tuple(Pieces(**line) for line in lines),
        demand=Demand(row["case_id"], row["question"], row["respond_by"]) if row["case_id"] else None,
    )


async def make_thread(tx: Transaction, thread_id: UUID, order: Order) -> bool:
    """Makes the thread of an order that was placed; False if it has one."""
    made = await tx.connection.fetchval(
        "insert into threads (thread_id, order_id, buyer_id, seller_id, active_at) "
        "values ($1, $2, $3, $4, clock_now()) on conflict (order_id) do nothing returning true",
        *(thread_id, order.order_id, order.buyer_id, order.seller_id),
    )
    return bool(made)


async def thread(tx: Transaction, thread_id: UUID) -> Thread | None:
    """The thread."""
    row = await tx.connection.fetchrow(f"{_THREAD} where t.thread_id = $1", thread_id)
    return _thread(row) if row else None


async def thread_of(tx: Transaction, order_id: UUID, *, lock: bool = False) -> Thread | None:
    """The thread of an order, if it has one. With `lock` no other transaction writes in it until this one ends; if this
    waits for one that does, what the thread has from other tables is older than that."""
    row = await tx.connection.fetchrow(f"{_THREAD} where t.order_id = $1 {_LOCK if lock else ''}", order_id)
    return _thread(row) if row else None


async def threads_of(tx: Transaction, order_ids: Sequence[UUID]) -> dict[UUID, Thread]:
    """The threads of the orders, locked as in `thread_of`; not every order has one."""
    if not order_ids:
        return {}
    rows = await tx.connection.fetch(f"{_THREAD} where t.order_id = any($1) order by t.thread_id {_LOCK}", order_ids)
    return {row["order_id"]: _thread(row) for row in rows}


async def lock_consumer(tx: Transaction) -> None:
    """Waits until the batches of this partition that are in hand are committed, and makes the next ones wait."""
    await tx.connection.execute("select pg_advisory_xact_lock($1, $2)", CONSUMER_LOCK, tx.partition)


async def lock_threads(tx: Transaction, ids: Sequence[UUID], order_ids: Sequence[UUID] = ()) -> None:
    """Locks the threads, and those of the orders."""
    await tx.connection.execute(
        "select from threads where thread_id = any (array(select unnest($1::uuid[]) "
        "union select thread_id from threads where order_id = any($2))) order by thread_id for update",
        *(ids, order_ids),
    )


async def page(
    tx: Transaction,
    account_id: UUID,
    *,
    selling: bool,
    demanded: bool,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Thread]:
    """The threads of a buyer or seller, the newest activity first, older than `before`; only those with a demand of
    customer service if `demanded`."""
    owner = "seller_id" if selling else "buyer_id"
    at, thread_id = before or (None, None)
    rows = await tx.connection.fetch(
        f"{_THREAD} where t.{owner} = $1 and ($2::timestamptz is null or (t.active_at, t.thread_id) < ($2, $3::uuid)) "
        f"{_DEMANDED if demanded else ''} order by t.active_at desc, t.thread_id desc limit $4",
        *(account_id, at, thread_id, limit),
    )
    return [_thread(row) for row in rows]


async def post(tx: Transaction, thread_id: UUID, draft: Draft) -> Posted | None:
    """Writes the next message of a thread; None if there is no such thread for the sender.

    The thread's row is locked until the commit, so that the numbers are without gaps and in the order of the commits;
    their times, which are those of the transactions' starts, are adjusted to follow them.
    """
    row = await tx.connection.fetchrow(_POST, thread_id, *vars(draft).values())
    if row is None:
        return None
    return Posted(
        order_id=row["order_id"],
        buyer_id=row["buyer_id"],
        seller_id=row["seller_id"],
        unread={
            row["buyer_id"]: row["last_seq"] - row["buyer_read"],
            row["seller_id"]: row["last_seq"] - row["seller_read"],
        },
        thanked=row["was_due"] and not row["thanks_due"],
        message=Message(**vars(draft), seq=row["last_seq"], at=row["active_at"]),
    )


async def messages(connection: Connection, thread_id: UUID, after: int, limit: int) -> list[Message]:
    """The messages of a thread from `after` + 1 on."""
    sql = "select * from messages where thread_id = $1 and seq > $2 order by seq limit $3"
    return [_message(row) for row in await connection.fetch(sql, thread_id, after, limit)]


async def mark_read(tx: Transaction, thread_id: UUID, account_id: UUID, seq: int) -> tuple[int, int] | None:
    """Marks a thread as read up to `seq`. Returns `last_seq` and the unread count; None if the account is no member."""
    row = await tx.connection.fetchrow(
        "update threads set buyer_read = case when buyer_id = $2 then greatest(buyer_read, least($3, last_seq)) "
        "else buyer_read end, seller_read = case when seller_id = $2 then greatest(seller_read, least($3, last_seq)) "
        "else seller_read end where thread_id = $1 and $2 in (buyer_id, seller_id) "
        "returning last_seq, case when buyer_id = $2 then buyer_read else seller_read end",
        *(thread_id, account_id, seq),
    )
    return (row[0], row[0] - row[1]) if row else None


async def begin_asking(
    tx: Transaction, thread_id: UUID, cancellation_id: UUID, reason: str | None, lines: Sequence[Pieces] | None
) -> None:
    """Stores the cancellation that the seller requests."""
    pieces = [line.model_dump(mode="json") for line in lines] if lines else None
    await tx.connection.execute(
        "update threads set pending = $2, pending_reason = $3, pending_lines = $4, asked_at = clock_now() "
        "where thread_id = $1",
        *(thread_id, cancellation_id, reason, pieces),
    )


async def until_next_request(tx: Transaction, thread_id: UUID, limit: int, within: timedelta) -> timedelta | None:
    """How long the seller has to wait if `limit` requests were rejected `within` so long; None if fewer were."""
    wait: timedelta | None = await tx.connection.fetchval(
        "select at + $3::interval - clock_now() from messages where thread_id = $1 and code = 'cancel_rejected' "
        "and at > clock_now() - $3::interval order by at desc offset $2 - 1 limit 1",
        *(thread_id, limit, within),
    )
    return wait


async def since_asked(tx: Transaction, thread_id: UUID) -> timedelta:
    """How long ago the seller has requested it."""
    sql = "select clock_now() - asked_at from threads where thread_id = $1"
    waited: timedelta = await tx.connection.fetchval(sql, thread_id)
    return waited


async def end_asking(tx: Transaction, thread_id: UUID) -> None:
    """Removes the request: it is answered."""
    sql = "update threads set pending = null, pending_reason = null, pending_lines = null where thread_id = $1"
    await tx.connection.execute(sql, thread_id)


async def owe_thanks(tx: Transaction, thread_id: UUID) -> None:
    """Offers the buyer the replies that apologise and thank."""
    await tx.connection.execute("update threads set thanks_due = true where thread_id = $1", thread_id)


async def watched(connection: Connection, account_id: UUID) -> list[UUID]:
    """The other members of an account's threads, the newest activity first."""
    rows = await connection.fetch(
        "(select seller_id as other, active_at from threads where buyer_id = $1 order by active_at desc limit $2) "
        "union all (select buyer_id, active_at from threads where seller_id = $1 order by active_at desc limit $2) "
        "order by active_at desc limit $2",
        *(account_id, MAX_WATCHED),
    )
    return list(dict.fromkeys(row["other"] for row in rows))


async def readable(connection: Connection, reader: UUID | None, ids: Sequence[UUID]) -> dict[UUID, int]:
    """The last `seq` of those threads whose member the reader is; for None, of all of them."""
    rows = await connection.fetch(
        "select thread_id, last_seq from threads where thread_id = any($1) "
        "and ($2::uuid is null or $2 in (buyer_id, seller_id))",
        *(ids, reader),
    )
    return {row["thread_id"]: row["last_seq"] for row in rows}


async def changed(
    connection: Connection, accounts: Sequence[UUID], ids: Sequence[UUID], since: datetime
) -> list[Change]:
    """Threads with a message since then that are among `ids`, or have a member among `accounts`."""
    select = "select thread_id, last_seq, buyer_id, seller_id from threads where active_at >= $3 and"
    rows = await connection.fetch(
        f"{select} buyer_id = any($1) union {select} seller_id = any($1) union {select} thread_id = any($2)",
        *(accounts, ids, since),
    )
    return [Change(row["thread_id"], row["last_seq"], (row["buyer_id"], row["seller_id"])) for row in rows]
