"""What `chat` keeps of the data of other services: names, orders, refunds, and questions of customer service.

Every function works in the transaction that it is given. `store` has the order of locks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts.cs import SellerContacted
from contracts.orders import OrderPlaced
from contracts.words import Destination, OrderStatus, known
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import TraceContext
from services.chat.domain import STATUSES, Order, headline


@dataclass(frozen=True)
class Refund:
    """A refund; `amount` is None until it has arrived."""

    refund_id: UUID
    order_id: UUID
    destination: Destination | str
    amount: int | None
    cancellation_id: UUID | None


@dataclass(frozen=True)
class Question:
    """A question of customer service to a seller."""

    case_id: UUID
    text: str
    respond_by: datetime


async def note_person(tx: Transaction, account_id: UUID, name: str) -> None:
    """Stores the name of an account."""
    sql = "insert into people (account_id, name) values ($1, $2) on conflict (account_id) do update set name = $2"
    await tx.connection.execute(sql, account_id, name)


async def note_order(tx: Transaction, placed: OrderPlaced, status: OrderStatus) -> None:
    """Stores an order. A later status that arrived before stays."""
    await tx.connection.execute(
        "insert into orders_known as o (order_id, buyer_id, seller_id, title, status_rank, titles) "
        "values ($1, $2, $3, $4, $5, $6) on conflict (order_id) do update set buyer_id = $2, seller_id = $3, "
        "title = $4, status_rank = greatest(o.status_rank, $5), titles = $6",
        *(placed.order_id, placed.buyer_id, placed.seller_id, headline(placed.lines), status.rank),
        {str(line.product_id): line.title for line in placed.lines},
    )


async def note_part(tx: Transaction, order_id: UUID, cancellation_id: UUID) -> Mapping[str, str] | None:
    """Stores that a part of the order is cancelled. Returns the titles of its products, as far as they are known, by
    the products' ids; None if that was stored already."""
    titles: Mapping[str, str] | None = await tx.connection.fetchval(
        "insert into orders_known as o (order_id, parts) values ($1, array[$2::uuid]) on conflict (order_id) "
        "do update set parts = o.parts || excluded.parts where not o.parts @> excluded.parts returning titles",
        *(order_id, cancellation_id),
    )
    return titles


async def note_status(tx: Transaction, order_ids: Sequence[UUID], status: OrderStatus) -> list[UUID]:
    """Stores the status of orders, also of unknown ones. Returns the orders for which it is newer."""
    rows = await tx.connection.fetch(
        "insert into orders_known as o (order_id, status_rank) select distinct unnest($1::uuid[]), $2::smallint "
        "order by 1 on conflict (order_id) do update set status_rank = $2 where o.status_rank < $2 returning order_id",
        *(order_ids, status.rank),
    )
    return [row["order_id"] for row in rows]


async def order(tx: Transaction, order_id: UUID) -> Order | None:
    """An order, as far as `chat` knows it."""
    row = await tx.connection.fetchrow("select * from orders_known where order_id = $1", order_id)
    if row is None:
        return None
    return Order(row["order_id"], row["buyer_id"], row["seller_id"], row["title"], STATUSES[row["status_rank"]])


async def note_refunds(tx: Transaction, refunds: Sequence[Refund]) -> None:
    """Stores refunds that are late or, with an amount, have arrived. One that has arrived stays so."""
    columns = zip(*(vars(refund).values() for refund in refunds), strict=True)
    await tx.connection.execute(
        "insert into refunds_known as r (refund_id, order_id, destination, amount, cancellation_id) "
        "select distinct on (refund_id) * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::uuid[]) "
        "as one (refund_id, order_id, destination, amount, cancellation_id) order by refund_id, amount "
        "on conflict (refund_id) do update set destination = excluded.destination, amount = excluded.amount, "
        "cancellation_id = coalesce(excluded.cancellation_id, r.cancellation_id) where r.amount is null",
        *map(list, columns),
    )


async def take_unshown_refunds(tx: Transaction, order_id: UUID) -> list[Refund]:
    """The refunds of the order that its thread does not show yet, though their cancellation is known; marks them as
    shown."""
    rows = await tx.connection.fetch(
        "update refunds_known r set told = case when amount is null then 'delayed' else 'issued' end "
        "from orders_known o where r.order_id = $1 and o.order_id = $1 "
        "and (o.status_rank = $2 or r.cancellation_id = any(o.parts)) "
        "and (told = 'nothing' or (told = 'delayed' and amount is not null)) "
        "returning r.refund_id, r.order_id, r.destination, r.amount, r.cancellation_id",
        *(order_id, OrderStatus.CANCELLED.rank),
    )
    return [Refund(**{**row, "destination": known(Destination, row["destination"])}) for row in rows]


async def note_question(tx: Transaction, asked: SellerContacted, context: TraceContext) -> bool:
    """Stores a question of customer service with its trace context. Returns whether the seller has answered it already.
    A repeated question, one that is older than the stored one, and one of a closed case change nothing."""
    state = await tx.connection.fetchval(
        "insert into questions as q (case_id, order_id, question, respond_by, state, correlation_id, traceparent) "
        "values ($1, $2, $3, $4, 'untold', $5, $6) on conflict (case_id) do update set order_id = $2, question = $3, "
        "respond_by = $4, state = 'untold', correlation_id = $5, traceparent = $6 "
        "where q.state <> 'closed' and q.respond_by < $4 returning state",
        *(asked.case_id, asked.order_id, asked.question, asked.respond_by),
        *(context.correlation_id, context.traceparent),
    )
    if state is not None:
        return False
    sql = "select state = 'answered' and respond_by = $2 from questions where case_id = $1"
    return bool(await tx.connection.fetchval(sql, asked.case_id, asked.respond_by))


async def has_unshown_questions(tx: Transaction, order_id: UUID) -> bool:
    """Whether there are questions about the order that its thread does not show yet."""
    query = "select exists (select from questions where order_id = $1 and state = 'untold')"
    return bool(await tx.connection.fetchval(query, order_id))


async def take_unshown_questions(tx: Transaction, order_id: UUID) -> list[Question]:
    """The questions about the order that its thread does not show yet; opens them."""
    rows = await tx.connection.fetch(
        "update questions set state = 'open' where order_id = $1 and state = 'untold' "
        "returning case_id, question, respond_by",
        order_id,
    )
    return [Question(*row.values()) for row in rows]


async def answer_questions(
    tx: Transaction, order_id: UUID, answer: TraceContext
) -> Sequence[tuple[UUID, TraceContext]]:
    """Marks the open questions about the order as answered. Returns their cases, each with the trace context of its
    answer."""
    rows = await tx.connection.fetch(
        "update questions set state = 'answered' where order_id = $1 and state = 'open' "
        "returning case_id, correlation_id, traceparent",
        order_id,
    )
    cause = answer.causation_id
    contexts = [TraceContext(row["correlation_id"], cause, row["traceparent"]).caused_by(cause) for row in rows]
    return [(row["case_id"], context) for row, context in zip(rows, contexts, strict=True)]


async def close_question(tx: Transaction, case_id: UUID, order_id: UUID) -> bool:
    """Closes the question of the case. Returns whether the thread of this order has shown it: after the seller's answer
    the case may have turned to another order, whose seller was not asked."""
    before = await tx.connection.fetchval(
        "select state from questions where case_id = $1 and order_id = $2 for update", case_id, order_id
    )
    await tx.connection.execute(
        "insert into questions (case_id, order_id, state) values ($1, $2, 'closed') "
        "on conflict (case_id) do update set state = 'closed'",
        *(case_id, order_id),
    )
    return before in ("open", "answered")
