"""Orders and their cancellations: with `products`, `vouchers`, `counts`, `records` and `refund_status` the only SQL of
`orders`. Every function takes the open transaction. Rows are locked in this order: orders, products, vouchers,
cancellations, deadlines."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from math import ceil
from operator import attrgetter
from uuid import UUID

from contracts.words import OrderStatus
from runtime.errors import RateLimited, Refusal
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import current_context
from services.orders import cancelling, domain, metrics, pricing, vouchers
from services.orders.domain import Cancellation, Order, Terms
from services.orders.rows import as_json, order_of

_ORDER = """
select o.*, clock_now() as now, c.cancellation_id, c.channel, c.requested_by, c.role, c.reason, c.note, c.fault, c.at,
       c.refund_amount, c.refund_id, c.refund_state, c.destination,
       array(select h.status from order_history h where h.order_id = o.order_id order by h.version) as steps,
       array(select h.at from order_history h where h.order_id = o.order_id order by h.version) as times,
       case when o.parts > 0 then (
           select jsonb_agg(to_jsonb(p) order by p.at, p.cancellation_id) from cancellations p
           where p.order_id = o.order_id and p.lines is not null
       ) end as parted
from orders o left join cancellations c on c.order_id = o.order_id and c.lines is null
"""

_AT = """
greatest(clock_now(), (select max(h.at) from order_history h where h.order_id = $1),
         (select max(c.at) from cancellations c where c.order_id = $1 and c.lines is not null)) as at
"""
"""Now, and never before an earlier step: the clock of a transaction stands still while it waits for its locks."""

KINDS = PAY_BY, SHIP_BY = "pay_by", "ship_by"
"""All deadlines of an order: at them an unpaid order, or one that is not shipped, is cancelled; at `SHIP_BY` the seller
is reminded first."""
_BUYERS = 0x0B0A7A4
"""The first half of the locks under which the unpaid orders of one buyer are counted."""
LAST_ID = UUID(int=2**128 - 1)
"""Behind every id: a condition that is always there can use the index, one that may be missing cannot."""


class ChangedMeanwhile(Refusal):
    """Another transaction changed the order between reading and writing it."""

    code, title = "changed_meanwhile", "The order was changed meanwhile"


Find = Callable[[Transaction, UUID], Awaitable[tuple[Order | None, datetime]]]
"""`read` or `lock`."""


async def read(tx: Transaction, order_id: UUID) -> tuple[Order | None, datetime]:
    """The order, or None, and the time at the database."""
    row = await tx.connection.fetchrow(f"{_ORDER} where o.order_id = $1", order_id)
    return (order_of(row), row["now"]) if row else (None, await tx.now())


async def lock(tx: Transaction, order_id: UUID) -> tuple[Order | None, datetime]:
    """As `read`, and no other transaction can change the order until this one ends."""
    row = await tx.connection.fetchrow(f"{_ORDER} where o.order_id = $1 for no key update of o", order_id)
    if row is None or len(row["steps"]) != row["version"] or len(row["parted"] or ()) != row["parts"]:
        # Changed while this waited for the lock: PostgreSQL then reads the order anew, but not what is joined.
        return await read(tx, order_id)
    return order_of(row), row["now"]


async def lock_all(tx: Transaction, order_ids: Sequence[UUID]) -> None:
    """Locks orders, then all their products, and then all their vouchers, each in the order of their ids, so that two
    transactions which do this cannot wait for each other. A single order's voucher is locked when it is given back."""
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
    if len(order_ids) > 1:
        await vouchers.lock_all(tx, order_ids)


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
    return list(map(order_of, rows)), rows[0]["now"] if rows else await tx.now()


async def count_unpaid(tx: Transaction, buyer_id: UUID) -> int:
    """How many orders of the buyer wait for their payment. No other transaction can add one until this one ends, so
    call it before any stock is reserved."""
    await tx.connection.execute("select pg_advisory_xact_lock($1, hashtext($2))", _BUYERS, str(buyer_id))
    count: int = await tx.connection.fetchval(
        "select count(*) from orders where buyer_id = $1 and pay_by is not null", buyer_id
    )
    return count


async def place(tx: Transaction, order: Order) -> None:
    """Adds a new order, and its deadline to be paid or shipped."""
    if order.pay_by is not None:
        await tx.schedule(PAY_BY, str(order.order_id), order.pay_by - order.placed_at)
    if order.ship_by is not None:
        await tx.schedule(SHIP_BY, str(order.order_id), domain.until_shipment(order.ship_by, order.placed_at))
    await tx.connection.execute(
        "with o as (insert into orders (order_id, buyer_id, seller_id, status, total, payment_method, paid_amount, "
        "placed_at, version, pay_by, ship_by, shipping_fee, discount, voucher, voucher_minimum, lines) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)) "
        "insert into order_history (order_id, version, status, at) values ($1, $9, $4, $8)",
        *attrgetter("order_id", "buyer_id", "seller_id", "status", "total", "payment_method", "paid_amount")(order),
        *attrgetter("placed_at", "version", "pay_by", "ship_by")(order),
        *attrgetter("shipping_fee", "discount", "voucher", "voucher_minimum")(order),
        as_json(order.lines),
    )


async def adopt(tx: Transaction, terms: Terms) -> int:
    """Sets `pay_by` or `ship_by` for orders that need one and have none: a replica of an earlier version placed them or
    took the payment after the migration. Returns how many."""
    rows = await tx.connection.fetch(
        """
        update orders set
            pay_by = case when status = 'unpaid' then clock_now() + $1::interval end,
            ship_by = case when status <> 'unpaid' then clock_now() + $2::interval end
        where order_id = any(array(
            select order_id from orders where (status = 'unpaid' and pay_by is null)
                or (status in ('processing', 'packed') and ship_by is null) order by order_id for no key update
        )) and (status = 'unpaid' and pay_by is null or status in ('processing', 'packed') and ship_by is null)
        returning order_id, status, ship_by, clock_now() as now
        """,
        terms.pay_within,
        terms.ship_within,
    )
    for row in rows:
        if row["ship_by"] is None:
            await tx.schedule(PAY_BY, str(row["order_id"]), terms.pay_within)
        else:
            await tx.schedule(SHIP_BY, str(row["order_id"]), domain.until_shipment(row["ship_by"], row["now"]))
    return len(rows)


async def move(tx: Transaction, order: Order, to: OrderStatus, paid_amount: int, ship_by: datetime | None) -> Order:
    """Writes the order's next status, what has been paid by now, and until when it has to be shipped. Raises
    `ChangedMeanwhile`."""
    at = await tx.connection.fetchval(
        "with o as (update orders set status = $3, paid_amount = $4, ship_by = $5, pay_by = null, "
        f"version = version + 1 where order_id = $1 and version = $2 returning order_id, version, {_AT}) "
        "insert into order_history (order_id, version, status, at) select order_id, version, $3, at from o "
        "returning at",
        order.order_id,
        order.version,
        to,
        paid_amount,
        ship_by,
    )
    if at is None:
        raise ChangedMeanwhile
    if order.pay_by is not None:
        await tx.call_off(PAY_BY, str(order.order_id))
    if ship_by is None and order.ship_by is not None:
        await tx.call_off(SHIP_BY, str(order.order_id))
    elif ship_by is not None and ship_by != order.ship_by:
        await tx.schedule(SHIP_BY, str(order.order_id), domain.until_shipment(ship_by, at))
    return replace(domain.moved(order, to, at), paid_amount=paid_amount, ship_by=ship_by)


_END = f"""
with o as (
    update orders set status = 'cancelled', pay_by = null, version = version + 1
    where order_id = $1 and version = $2 and parts = $3
    returning order_id, seller_id, version, paid_amount, payment_method, {_AT}
), h as (
    insert into order_history (order_id, version, status, at) select order_id, version, 'cancelled', at from o
), called_off as (
    delete from deadlines where kind in {KINDS} and subject = (select order_id::text from o)
),"""
_PART = f"""
with o as (
    update orders set lines = $17, parts = parts + 1 where order_id = $1 and version = $2 and parts = $3
    returning order_id, seller_id, paid_amount, payment_method, {_AT}
),"""
_CANCEL = """
given_back as (
    select product_id, pieces from o, unnest($4::uuid[], $5::integer[]) as one (product_id, pieces)
), locked as (
    select product_id from products where product_id = any(array(select product_id from given_back))
    order by product_id for no key update
), p as (
    update products set stock = stock + pieces from given_back
    where products.product_id = any(array(select product_id from locked))
      and products.product_id = given_back.product_id
    returning true
), v as (
    update vouchers set used = used - 1 from o
    where vouchers.seller_id = o.seller_id and vouchers.code = $15 and (select count(*) from p) > 0
    returning true
), changed as (
    insert into cancellations (order_id, cancellation_id, seller_id, channel, requested_by, role, reason, note, fault,
                               refund_amount, at, said_at, correlation_id, pieces, scored, lines)
    select order_id, $6, seller_id, $7, $8, $9, $10, $11, $12, $13::bigint, at,
           case when $13::bigint > 0 then at end, $14,
           (select sum(pieces) from given_back), paid_amount > 0 or payment_method = 'cod', $16 from o
    where (select count(*) from p) + (select count(*) from v) >= 0
    returning at
){events}
select at from changed
"""
"""Nothing is touched unless the order's row has been changed, and is locked by that. What an expression reads is locked
before it: products, then the voucher, then the cancellation and its events, and last what none reads. A deadline that a
reminder sets anew while this waits for the order stays: it fires once, and does nothing."""
_END, _PART = _END + _CANCEL, _PART + _CANCEL


async def cancel(tx: Transaction, order: Order, how: Cancellation) -> Order:
    """Writes the cancellation, under `autocommit` with the events published so far, and gives the stock back. If it
    ends the order, calls off its deadline, and gives its voucher back. Raises `ChangedMeanwhile`."""
    lines = order.lines if how.ended else pricing.without(order.lines, how.lines)
    pieces = {one.product_id: one.quantity for one in how.lines}
    at = await tx.write(
        _END if how.ended else _PART,
        order.order_id,
        order.version,
        len(order.cancellations),
        list(pieces),
        list(pieces.values()),
        *attrgetter("cancellation_id", "channel", "requested_by", "role", "reason", "note", "fault")(how),
        how.refund_amount,
        current_context().correlation_id,
        *((order.voucher, None) if how.ended else (None, as_json(how.lines), as_json(lines))),
    )
    if at is None:
        raise ChangedMeanwhile
    tx.after_commit(partial(metrics.cancelled, how.channel, how.refund_amount))
    after = domain.moved(order, OrderStatus.CANCELLED, at) if how.ended else replace(order, lines=lines)
    return replace(after, cancellations=(*order.cancellations, replace(how, at=at)))


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
        cancelling.REFUSED_WITHIN,
        limit,
    )
    if left is not None:  # it is rolled back, and so not counted
        raise RateLimited(
            "Too many cancellations were refused. Check the order's status, and try again later.", ceil(left)
        )
