"""The only file of `chat` with SQL. Every function works in the transaction, or on the connection, that it is given.

Locks are taken in one order: what events have in common (`lock_hearing`), threads by their ids, what is known of
orders, questions and refunds, deadlines. Events and deadlines lock all their threads first (`lock_threads`), routes
have one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from contracts.cs import SellerContacted
from contracts.orders import OrderPlaced
from contracts.words import Destination, OrderStatus, known
from runtime.live.conversations import Change
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import TraceContext
from runtime.storage.database import Connection
from services.chat.domain import Code, Kind, Message, Order, Thread, headline

STATUSES = tuple(OrderStatus)
HEARING = 0x0B0A7A7

_THREAD = """
select t.*, o.status_rank, o.title, b.name as buyer_name, s.name as seller_name,
       m.seq, m.kind, m.sender_id, m.text, m.code, m.data, m.at
from threads t join orders_known o using (order_id)
left join people b on b.account_id = t.buyer_id left join people s on s.account_id = t.seller_id
left join messages m on m.thread_id = t.thread_id and m.seq = t.last_seq
"""

_POST = """
with t as (
    update threads set last_seq = last_seq + 1, active_at = greatest(active_at, clock_now()),
        buyer_read = case when buyer_id = $3::uuid then last_seq + 1 else buyer_read end,
        seller_read = case when seller_id = $3::uuid then last_seq + 1 else seller_read end,
        asked = case when $3::uuid is null then asked else buyer_id = $3::uuid end,
        guided = guided or $2::text = 'guide',
        thanks_due = thanks_due and buyer_id is distinct from $3::uuid
    where thread_id = $1 and ($3::uuid is null or $3::uuid in (buyer_id, seller_id))
    returning *
), m as (
    insert into messages (thread_id, seq, kind, sender_id, text, code, data, at)
    select thread_id, last_seq, $2::text, $3::uuid, $4::text, $5::text, $6::jsonb, active_at from t
)
select t.*, before.thanks_due as was_due,
       exists (select from questions q where q.order_id = t.order_id and q.state = 'open') as questioned
from t join threads before using (thread_id)
"""


@dataclass(frozen=True)
class Posted:
    """A message that was written, and what there is to know of its thread."""

    thread_id: UUID
    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    unread: dict[UUID, int]
    """What each of the two has not seen, this message included."""
    thanked: bool
    """Whether this was what the buyer had still to say."""
    questioned: bool
    """Whether customer service waits for an answer of the seller."""
    message: Message


@dataclass(frozen=True)
class Refund:
    """What was heard of a refund; `amount` once it has arrived."""

    refund_id: UUID
    order_id: UUID
    destination: Destination | str
    amount: int | None


@dataclass(frozen=True)
class Question:
    """What customer service asks a seller."""

    case_id: UUID
    text: str
    respond_by: datetime


def _message(row: asyncpg.Record) -> Message:
    code = Code(row["code"]) if row["code"] else None
    return Message(row["seq"], Kind(row["kind"]), row["sender_id"], row["text"], code, row["data"], row["at"])


def _thread(row: asyncpg.Record) -> Thread:
    return Thread(
        thread_id=row["thread_id"],
        order_id=row["order_id"],
        buyer_id=row["buyer_id"],
        seller_id=row["seller_id"],
        last_seq=row["last_seq"],
        buyer_read=row["buyer_read"],
        seller_read=row["seller_read"],
        asked=row["asked"],
        guided=row["guided"],
        thanks_due=row["thanks_due"],
        pending=row["pending"],
        pending_reason=row["pending_reason"],
        active_at=row["active_at"],
        status=STATUSES[row["status_rank"]],
        title=row["title"] or "",
        buyer_name=row["buyer_name"],
        seller_name=row["seller_name"],
        last_message=_message(row) if row["seq"] else None,
    )


async def note_person(tx: Transaction, account_id: UUID, name: str) -> None:
    """Keeps somebody's name."""
    await tx.connection.execute(
        "insert into people (account_id, name) values ($1, $2) on conflict (account_id) do update set name = $2",
        account_id,
        name,
    )


async def note_order(tx: Transaction, placed: OrderPlaced, status: OrderStatus) -> None:
    """Keeps an order; what was heard of its status before stays."""
    await tx.connection.execute(
        "insert into orders_known as o (order_id, buyer_id, seller_id, title, status_rank) values ($1, $2, $3, $4, $5) "
        "on conflict (order_id) do update set buyer_id = $2, seller_id = $3, title = $4, "
        "status_rank = greatest(o.status_rank, $5)",
        placed.order_id,
        placed.buyer_id,
        placed.seller_id,
        headline(placed.lines),
        status.rank,
    )


async def note_status(tx: Transaction, order_ids: Sequence[UUID], status: OrderStatus) -> list[UUID]:
    """Keeps the status of orders, also of those that are not known yet; for which of them it is newer than what was
    known."""
    rows = await tx.connection.fetch(
        "insert into orders_known as o (order_id, status_rank) select distinct unnest($1::uuid[]), $2::smallint "
        "order by 1 on conflict (order_id) do update set status_rank = $2 where o.status_rank < $2 returning order_id",
        order_ids,
        status.rank,
    )
    return [row["order_id"] for row in rows]


async def order(tx: Transaction, order_id: UUID) -> Order | None:
    """What is known of an order."""
    row = await tx.connection.fetchrow("select * from orders_known where order_id = $1", order_id)
    if row is None:
        return None
    return Order(row["order_id"], row["buyer_id"], row["seller_id"], row["title"], STATUSES[row["status_rank"]])


async def make_thread(tx: Transaction, thread_id: UUID, order: Order) -> bool:
    """Makes the thread of an order that was placed; False if it has one."""
    made = await tx.connection.fetchval(
        "insert into threads (thread_id, order_id, buyer_id, seller_id, active_at) "
        "values ($1, $2, $3, $4, clock_now()) on conflict (order_id) do nothing returning true",
        thread_id,
        order.order_id,
        order.buyer_id,
        order.seller_id,
    )
    return bool(made)


async def thread(tx: Transaction, thread_id: UUID, *, lock: bool = False) -> Thread | None:
    """The thread; with `lock` nobody else writes in it until the transaction ends."""
    row = await tx.connection.fetchrow(f"{_THREAD} where t.thread_id = $1 {_lock(lock)}", thread_id)
    return _thread(row) if row else None


async def thread_of(tx: Transaction, order_id: UUID, *, lock: bool = False) -> Thread | None:
    """The thread of an order, if it has one."""
    row = await tx.connection.fetchrow(f"{_THREAD} where t.order_id = $1 {_lock(lock)}", order_id)
    return _thread(row) if row else None


async def threads_of(tx: Transaction, order_ids: Sequence[UUID]) -> dict[UUID, Thread]:
    """The threads of those of the orders that have one, locked."""
    if not order_ids:
        return {}
    rows = await tx.connection.fetch(
        f"{_THREAD} where t.order_id = any($1) order by t.thread_id {_lock(True)}", order_ids
    )
    return {row["order_id"]: _thread(row) for row in rows}


async def lock_hearing(tx: Transaction) -> None:
    """Waits until the events that are being handled have had their effect, and has the next ones wait."""
    await tx.connection.execute("select pg_advisory_xact_lock($1)", HEARING)


async def lock_threads(tx: Transaction, ids: Sequence[UUID], order_ids: Sequence[UUID] = ()) -> None:
    """Locks the threads, and those of the orders."""
    await tx.connection.execute(
        "select from threads where thread_id = any (array(select unnest($1::uuid[]) "
        "union select thread_id from threads where order_id = any($2))) order by thread_id for update",
        ids,
        order_ids,
    )


def _lock(lock: bool) -> str:
    return "for update of t" if lock else ""


async def page(
    tx: Transaction, account_id: UUID, *, selling: bool, before: tuple[datetime, UUID] | None, limit: int
) -> list[Thread]:
    """The threads of a buyer, or of a seller, the newest activity first, behind the place `before`."""
    owner = "seller_id" if selling else "buyer_id"
    at, thread_id = before or (None, None)
    rows = await tx.connection.fetch(
        f"{_THREAD} where t.{owner} = $1 and ($2::timestamptz is null or (t.active_at, t.thread_id) < ($2, $3::uuid)) "
        "order by t.active_at desc, t.thread_id desc limit $4",
        account_id,
        at,
        thread_id,
        limit,
    )
    return [_thread(row) for row in rows]


async def post(
    tx: Transaction,
    thread_id: UUID,
    kind: Kind,
    sender_id: UUID | None,
    text: str,
    code: Code | None = None,
    data: dict[str, Any] | None = None,
) -> Posted | None:
    """Writes the next message of a thread; None if there is no such thread for the sender.

    The thread's row is locked until the commit, so that the numbers are without gaps and in the order of the commits;
    their times, which are those of the transactions' beginnings, are made to follow them.
    """
    row = await tx.connection.fetchrow(_POST, thread_id, kind, sender_id, text, code, data)
    if row is None:
        return None
    return Posted(
        thread_id=thread_id,
        order_id=row["order_id"],
        buyer_id=row["buyer_id"],
        seller_id=row["seller_id"],
        unread={
            row["buyer_id"]: row["last_seq"] - row["buyer_read"],
            row["seller_id"]: row["last_seq"] - row["seller_read"],
        },
        thanked=row["was_due"] and not row["thanks_due"],
        questioned=row["questioned"],
        message=Message(row["last_seq"], kind, sender_id, text, code, data, row["active_at"]),
    )


async def messages(connection: Connection, thread_id: UUID, after: int, limit: int) -> list[Message]:
    """The messages of a thread from `after` + 1 on."""
    rows = await connection.fetch(
        "select seq, kind, sender_id, text, code, data, at from messages where thread_id = $1 and seq > $2 "
        "order by seq limit $3",
        thread_id,
        after,
        limit,
    )
    return [_message(row) for row in rows]


async def mark_read(tx: Transaction, thread_id: UUID, account_id: UUID, seq: int) -> tuple[int, int] | None:
    """Says that somebody has seen a thread up to `seq`; `last_seq` and what is unread, None if it is not theirs."""
    row = await tx.connection.fetchrow(
        "update threads set buyer_read = case when buyer_id = $2 then greatest(buyer_read, least($3, last_seq)) "
        "else buyer_read end, seller_read = case when seller_id = $2 then greatest(seller_read, least($3, last_seq)) "
        "else seller_read end where thread_id = $1 and $2 in (buyer_id, seller_id) "
        "returning last_seq, case when buyer_id = $2 then buyer_read else seller_read end",
        thread_id,
        account_id,
        seq,
    )
    return (row[0], row[0] - row[1]) if row else None


async def begin_asking(tx: Transaction, thread_id: UUID, cancellation_id: UUID, reason: str | None) -> None:
    """Keeps the cancellation that the seller asks for now."""
    await tx.connection.execute(
        "update threads set pending = $2, pending_reason = $3, asked_at = clock_now() where thread_id = $1",
        thread_id,
        cancellation_id,
        reason,
    )


async def since_asked(tx: Transaction, thread_id: UUID) -> timedelta:
    """For how long the answer to it has been waited for."""
    waited: timedelta = await tx.connection.fetchval(
        "select clock_now() - asked_at from threads where thread_id = $1", thread_id
    )
    return waited


async def end_asking(tx: Transaction, thread_id: UUID) -> None:
    """It is answered."""
    await tx.connection.execute(
        "update threads set pending = null, pending_reason = null where thread_id = $1", thread_id
    )


async def owe_thanks(tx: Transaction, thread_id: UUID) -> None:
    """From now on the buyer is offered to apologise and to thank."""
    await tx.connection.execute("update threads set thanks_due = true where thread_id = $1", thread_id)


async def note_refunds(tx: Transaction, refunds: Sequence[Refund]) -> None:
    """Keeps what was heard of refunds: late, or with an amount, arrived. What has arrived is late no more."""
    columns = zip(*(vars(refund).values() for refund in refunds), strict=True)
    await tx.connection.execute(
        "insert into refunds_known as r (refund_id, order_id, destination, amount) select distinct on (refund_id) * "
        "from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[]) "
        "as one (refund_id, order_id, destination, amount) order by refund_id, amount "
        "on conflict (refund_id) do update set destination = excluded.destination, amount = excluded.amount "
        "where r.amount is null",
        *map(list, columns),
    )


async def take_untold_refunds(tx: Transaction, order_id: UUID) -> list[Refund]:
    """What the thread does not say yet of the order's refunds; from now on it counts as told."""
    rows = await tx.connection.fetch(
        "update refunds_known set told = case when amount is null then 'delayed' else 'issued' end "
        "where order_id = $1 and (told = 'nothing' or (told = 'delayed' and amount is not null)) "
        "returning refund_id, order_id, destination, amount",
        order_id,
    )
    return [
        Refund(row["refund_id"], row["order_id"], known(Destination, row["destination"]), row["amount"]) for row in rows
    ]


async def note_question(tx: Transaction, asked: SellerContacted, context: TraceContext) -> bool:
    """Keeps what customer service asks, and in which story; whether that is answered already. A question that is asked
    again is no new one, one from before a newer one is none, and a case that is closed stays so."""
    state = await tx.connection.fetchval(
        "insert into questions as q (case_id, order_id, question, respond_by, state, correlation_id, traceparent) "
        "values ($1, $2, $3, $4, 'untold', $5, $6) on conflict (case_id) do update set order_id = $2, question = $3, "
        "respond_by = $4, state = 'untold', correlation_id = $5, traceparent = $6 "
        "where q.state <> 'closed' and q.respond_by < $4 returning state",
        asked.case_id,
        asked.order_id,
        asked.question,
        asked.respond_by,
        context.correlation_id,
        context.traceparent,
    )
    if state is not None:
        return False
    return bool(
        await tx.connection.fetchval(
            "select state = 'answered' and respond_by = $2 from questions where case_id = $1",
            asked.case_id,
            asked.respond_by,
        )
    )


async def has_untold_questions(tx: Transaction, order_id: UUID) -> bool:
    """Whether customer service asks something about an order that its thread does not show yet."""
    query = "select exists (select from questions where order_id = $1 and state = 'untold')"
    return bool(await tx.connection.fetchval(query, order_id))


async def take_untold_questions(tx: Transaction, order_id: UUID) -> list[Question]:
    """The questions about an order that its thread does not show yet; from now on they are open."""
    rows = await tx.connection.fetch(
        "update questions set state = 'open' where order_id = $1 and state = 'untold' "
        "returning case_id, question, respond_by",
        order_id,
    )
    return [Question(*row.values()) for row in rows]


async def answer_questions(
    tx: Transaction, order_id: UUID, answer: TraceContext
) -> Sequence[tuple[UUID, TraceContext]]:
    """The seller has answered: the cases whose questions were open, each once, and the story in which that goes on."""
    rows = await tx.connection.fetch(
        "update questions set state = 'answered' where order_id = $1 and state = 'open' "
        "returning case_id, correlation_id, traceparent",
        order_id,
    )
    return [
        (
            row["case_id"],
            TraceContext(row["correlation_id"], answer.causation_id, row["traceparent"]).caused_by(answer.causation_id),
        )
        for row in rows
    ]


async def close_question(tx: Transaction, case_id: UUID, order_id: UUID) -> bool:
    """Nothing is asked in this case any more; whether its thread had shown a question."""
    before = await tx.connection.fetchval("select state from questions where case_id = $1 for update", case_id)
    await tx.connection.execute(
        "insert into questions (case_id, order_id, state) values ($1, $2, 'closed') "
        "on conflict (case_id) do update set state = 'closed'",
        case_id,
        order_id,
    )
    return before in ("open", "answered")


async def counterparts(connection: Connection, account_id: UUID, limit: int) -> list[UUID]:
    """The other members of an account's threads, the newest activity first."""
    rows = await connection.fetch(
        "(select seller_id as other, active_at from threads where buyer_id = $1 order by active_at desc limit $2) "
        "union all (select buyer_id, active_at from threads where seller_id = $1 order by active_at desc limit $2) "
        "order by active_at desc limit $2",
        account_id,
        limit,
    )
    return list(dict.fromkeys(row["other"] for row in rows))


async def heads(connection: Connection, ids: Sequence[UUID], account_id: UUID | None) -> dict[UUID, int]:
    """The last `seq` of those of the threads that are somebody's own, or of all of them for None."""
    rows = await connection.fetch(
        "select thread_id, last_seq from threads where thread_id = any($1) "
        "and ($2::uuid is null or $2 in (buyer_id, seller_id))",
        ids,
        account_id,
    )
    return {row["thread_id"]: row["last_seq"] for row in rows}


async def changed(connection: Connection, people: Sequence[UUID], ids: Sequence[UUID], since: datetime) -> list[Change]:
    """Threads with a message since then that are among `ids`, or of one of `people`."""
    rows = await connection.fetch(
        "select thread_id, last_seq, buyer_id, seller_id from threads where buyer_id = any($1) and active_at >= $3 "
        "union select thread_id, last_seq, buyer_id, seller_id from threads "
        "where seller_id = any($1) and active_at >= $3 "
        "union select thread_id, last_seq, buyer_id, seller_id from threads "
        "where thread_id = any($2) and active_at >= $3",
        people,
        ids,
        since,
    )
    return [Change(row["thread_id"], row["last_seq"], (row["buyer_id"], row["seller_id"])) for row in rows]
