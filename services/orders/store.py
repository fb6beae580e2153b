"""Orders and their cancellations: with `products`, `records` and `refund_status` the only SQL of `orders`. Every
function takes the open transaction."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from operator import attrgetter
from uuid import UUID

import asyncpg

from contracts.orders import OrderLine, RequesterRole
from contracts.words import Channel, Destination, Fault, OrderStatus, PaymentMethod, known
from runtime.errors import RateLimited, Refusal
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import current_context
from services.orders import domain, metrics
from services.orders.domain import Cancellation, Order, Refund, Score, Step

_ORDER = """
select o.*, clock_now() as now, c.cancellation_id, c.channel, c.requested_by, c.role, c.reason, c.note, c.fault,
       c.at as cancelled_at, r.refund_id, r.state as refund_state, r.amount as refund_amount, r.destination,
       array(select h.status from order_history h where h.order_id = o.order_id order by h.version) as steps,
       array(select h.at from order_history h where h.order_id = o.order_id order by h.version) as times
from orders o left join cancellations c using (order_id) left join order_refunds r using (order_id)
"""

PAY_BY = "pay_by"
"""The deadline at which an unpaid order is cancelled."""
_BUYERS = 0x0B0A7A4
"""The first half of the locks under which the unpaid orders of one buyer are counted."""
LAST_ID = UUID(int=2**128 - 1)
"""Behind every id: a condition that is always there can use the index, one that may be missing cannot."""


class ChangedMeanwhile(Refusal):
    """Another transaction changed the order between reading and writing it."""

    code, title = "changed_meanwhile", "The order was changed meanwhile"


def _order(row: asyncpg.Record) -> Order:
    cancellation, refund = None, None
    if row["cancellation_id"] is not None:
        channel, role, fault = (
            known(Channel, row["channel"]),
            known(RequesterRole, row["role"]),
            known(Fault, row["fault"]),
        )
        why = row["reason"], row["note"]
        cancellation = Cancellation(
            row["cancellation_id"], channel, row["requested_by"], role, *why, fault, row["cancelled_at"]
        )
    if row["refund_id"] is not None:
        destination = known(Destination, row["destination"])
        refund = Refund(row["refund_id"], row["refund_state"], row["refund_amount"], destination)
    return Order(
        row["order_id"],
        row["buyer_id"],
        row["seller_id"],
        OrderStatus(row["status"]),
        tuple(OrderLine.model_validate(line) for line in row["lines"]),
        row["total"],
        PaymentMethod(row["payment_method"]),
        row["paid_amount"],
        row["placed_at"],
        row["version"],
        row["pay_by"],
        cancellation,
        tuple(Step(OrderStatus(status), at) for status, at in zip(row["steps"], row["times"], strict=True)),
        refund,
    )


async def read(tx: Transaction, order_id: UUID) -> tuple[Order | None, datetime]:
    """The order, or None, and the time at the database."""
    return await _one(tx, f"{_ORDER} where order_id = $1", order_id)


async def lock(tx: Transaction, order_id: UUID) -> tuple[Order | None, datetime]:
    """As `read`, and no other transaction can change the order until this one ends."""
    order, now = await _one(tx, f"{_ORDER} where order_id = $1 for no key update of o", order_id)
    if order is not None and len(order.history) != order.version:
        # Changed while this waited for the lock: PostgreSQL then reads the order anew, but not what is joined.
        return await read(tx, order_id)
    return order, now


async def lock_all(tx: Transaction, order_ids: Sequence[UUID]) -> None:
    """Locks many orders, and then all their products, both in the order of their ids, so that two transactions which do
    this cannot wait for each other."""
    await tx.connection.execute(
        """
        with o as materialized (
            select lines from orders where order_id = any($1) order by order_id for no key update
        )
        select from products where product_id = any(array(
            select (line ->> 'product_id')::uuid from o, jsonb_array_elements(o.lines) as line
        )) order by product_id for no key update
        """,
        order_ids,
    )


async def _one(tx: Transaction, query: str, order_id: UUID) -> tuple[Order | None, datetime]:
    row = await tx.connection.fetchrow(query, order_id)
    return (_order(row), row["now"]) if row else (None, await tx.now())


async def page(
    tx: Transaction, person: UUID, *, selling: bool, status: OrderStatus | None, before: UUID | None, limit: int
) -> tuple[list[Order], datetime]:
    """The orders of a buyer, or of a seller, newest first, older than the order `before`."""
    owner = "seller_id" if selling else "buyer_id"
    rows = await tx.connection.fetch(
        f"{_ORDER} where o.{owner} = $1 and ($2::text is null or o.status = $2) "
        "and o.order_id < $3 order by o.order_id desc limit $4",
        person,
        status,
        before or LAST_ID,
        limit,
    )
    return [_order(row) for row in rows], rows[0]["now"] if rows else await tx.now()


async def count_unpaid(tx: Transaction, buyer_id: UUID) -> int:
    """How many orders of the buyer wait for their payment. No other transaction can add one until this one ends, so
    call it before any stock is reserved."""
    await tx.connection.execute("select pg_advisory_xact_lock($1, hashtext($2))", _BUYERS, str(buyer_id))
    count: int = await tx.connection.fetchval(
        "select count(*) from orders where buyer_id = $1 and pay_by is not null", buyer_id
    )
    return count


async def place(tx: Transaction, order: Order) -> None:
    """Adds a new order, and if it has to be paid, its deadline."""
    if order.pay_by is not None:
        await tx.schedule(PAY_BY, str(order.order_id), order.pay_by - order.placed_at)
    await tx.connection.execute(
        "with o as (insert into orders (order_id, buyer_id, seller_id, status, lines, total, payment_method, "
        "paid_amount, placed_at, version, pay_by) values ($1, $2, $3, $4, $11, $5, $6, $7, $8, $9, $10)) "
        "insert into order_history (order_id, version, status, at) values ($1, $9, $4, $8)",
        *attrgetter("order_id", "buyer_id", "seller_id", "status", "total", "payment_method", "paid_amount")(order),
        *attrgetter("placed_at", "version", "pay_by")(order),
        [line.model_dump(mode="json") for line in order.lines],
    )


async def adopt(tx: Transaction, pay_within: timedelta) -> int:
    """Sets `pay_by` for unpaid orders that have none: a replica of an earlier version placed them after the migration.
    Returns how many."""
    rows = await tx.connection.fetch(
        "update orders set pay_by = clock_now() + make_interval(secs => $1) where order_id = any(array("
        "select order_id from orders where status = 'unpaid' and pay_by is null order by order_id for no key update)) "
        "and pay_by is null returning order_id",
        pay_within.total_seconds(),
    )
    for row in rows:
        await tx.schedule(PAY_BY, str(row["order_id"]), pay_within)
    return len(rows)


async def move(tx: Transaction, order: Order, to: OrderStatus, paid_amount: int) -> Order:
    """Writes the order's next status, and what has been paid by now. Raises `ChangedMeanwhile`."""
    at = await tx.connection.fetchval(
        "with o as (update orders set status = $3, paid_amount = $4, pay_by = null, version = version + 1 "
        "where order_id = $1 and version = $2 returning order_id, version) "
        "insert into order_history (order_id, version, status, at) select order_id, version, $3, clock_now() from o "
        "returning at",
        order.order_id,
        order.version,
        to,
        paid_amount,
    )
    if at is None:
        raise ChangedMeanwhile
    if order.pay_by is not None:
        await tx.call_off(PAY_BY, str(order.order_id))
    return replace(_next(order, to, at), paid_amount=paid_amount)


def _next(order: Order, status: OrderStatus, at: datetime) -> Order:
    history = (*order.history, Step(status, at))
    return replace(order, status=status, version=order.version + 1, pay_by=None, history=history)


async def cancel(tx: Transaction, order: Order, how: Cancellation) -> Order:
    """Writes the cancellation, gives the stock back and calls off the deadline to pay. Raises `ChangedMeanwhile`."""
    at = await tx.connection.fetchval(
        """
        with o as (
            update orders set status = 'cancelled', pay_by = null, version = version + 1
            where order_id = $1 and version = $2
            returning order_id, seller_id, version, lines, paid_amount, payment_method, clock_now() as at
        ), h as (
            insert into order_history (order_id, version, status, at) select order_id, version, 'cancelled', at from o
        ), given_back as (
            select product_id, sum(quantity) as pieces
            from o, jsonb_to_recordset(o.lines) as line (product_id uuid, quantity integer)
            group by product_id
        ), locked as (
            select product_id from products where product_id = any(array(select product_id from given_back))
            order by product_id for no key update
        ), p as (
            update products set stock = stock + pieces from given_back
            where products.product_id = any(array(select product_id from locked))
              and products.product_id = given_back.product_id
        )
        insert into cancellations (order_id, cancellation_id, seller_id, channel, requested_by, role, reason, note,
                                   fault, at, said_at, correlation_id, scored)
        select order_id, $3, seller_id, $4, $5, $6, $7, $8, $9, at, case when paid_amount > 0 then at end, $10,
               paid_amount > 0 or payment_method = 'cod' from o
        returning at
        """,
        order.order_id,
        order.version,
        *attrgetter("cancellation_id", "channel", "requested_by", "role", "reason", "note", "fault")(how),
        current_context().correlation_id,
    )
    if at is None:
        raise ChangedMeanwhile
    tx.after_commit(partial(metrics.cancelled, how.channel, order.paid_amount))
    if order.pay_by is not None:
        await tx.call_off(PAY_BY, str(order.order_id))
    return replace(_next(order, OrderStatus.CANCELLED, at), cancellation=replace(how, at=at))


async def is_used(tx: Transaction, cancellation_id: UUID) -> bool:
    """Whether an order was cancelled under this id."""
    used = await tx.connection.fetchval("select true from cancellations where cancellation_id = $1", cancellation_id)
    return bool(used)


async def count_refusal(tx: Transaction, about: UUID, limit: int) -> None:
    """Counts a refused cancellation of an order or a buyer. Raises `RateLimited` beyond `limit` per
    `REFUSED_WITHIN`."""
    left = await tx.connection.fetchval(
        "insert into refused_cancellations as r (about, since, refused) values ($1, clock_now(), 1) "
        "on conflict (about) do update set "
        "since = case when r.since > clock_now() - $2::interval then r.since else clock_now() end, "
        "refused = case when r.since > clock_now() - $2::interval then r.refused + 1 else 1 end "
        "returning case when refused > $3 then extract(epoch from since + $2::interval - clock_now())::float8 end",
        about,
        domain.REFUSED_WITHIN,
        limit,
    )
    if left is not None:  # it is rolled back, and so not counted
        raise RateLimited(
            "Too many cancellations were refused. Check the order's status, and try again later.", ceil(left)
        )


async def score(tx: Transaction, seller_id: UUID) -> Score:
    """The seller's numbers, counted now, of the orders that were paid or are cash on delivery."""
    row = await tx.connection.fetchrow(
        "select (select count(*) from orders where seller_id = $1 and (paid_amount > 0 or payment_method = 'cod')), "
        "count(*) filter (where fault = 'seller'), count(*) filter (where fault = 'buyer'), "
        "count(*) filter (where fault = 'platform') from cancellations where seller_id = $1 and scored",
        seller_id,
    )
    return Score(*row.values()) if row else Score(0, 0, 0, 0)
