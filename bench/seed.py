"""Filling the databases: paid orders to cancel, and old ones that only make the tables large."""

from collections.abc import Mapping

import asyncpg

SELLERS = 50
PRODUCTS = 500
ORDERS_PER_BUYER = 5
STOCK = 1_000_000

# UUIDv7 as the services make them: milliseconds, then chance. `{}` is the time.
_UUID7 = (
    "(lpad(to_hex((extract(epoch from {}) * 1000)::bigint), 12, '0') || '7' || "
    "substr(md5(random()::text || n), 1, 3) || '8' || substr(md5(n || random()::text), 1, 15))::uuid"
)
_ACCOUNT = "('0190d3a0-0000-7000-{0}-' || lpad(to_hex({1}), 12, '0'))::uuid"
_BUYER, _SELLER, _PRODUCT = _ACCOUNT.format("9000", "{}"), _ACCOUNT.format("a000", "{}"), _ACCOUNT.format("b000", "{}")
_LINES = (
    "jsonb_build_array(jsonb_build_object('product_id', product_id, 'title', 'Bench ' || (n % {products}), "
    "'quantity', 1, 'unit_price', 50000))"
)

_PRODUCTS = f"""
insert into products (product_id, seller_id, title, price, stock)
select {_PRODUCT.format("n")}, {_SELLER.format(f"n % {SELLERS}")}, 'Bench ' || n, 50000, {STOCK}
from generate_series(0, {PRODUCTS} - 1) n on conflict do nothing
"""  # noqa: S608
_NEW = f"""
create temp table fresh on commit drop as
select n, {_UUID7.format("at")} as order_id, {_BUYER.format(f"n / {ORDERS_PER_BUYER}")} as buyer_id,
       {_SELLER.format(f"(n % {PRODUCTS}) % {SELLERS}")} as seller_id,
       {_PRODUCT.format(f"n % {PRODUCTS}")} as product_id, at
from (select n, clock_now() - {{age}} as at from generate_series($1::bigint, $2::bigint) n) times
"""  # noqa: S608
_ORDERS = f"""
insert into orders (order_id, buyer_id, seller_id, status, lines, total, payment_method, paid_amount, placed_at,
                    version)
select order_id, buyer_id, seller_id, {{status}}, {_LINES.format(products=PRODUCTS)}, 50000, 'bank_transfer', 50000, at,
       {{version}}
from fresh
"""  # noqa: S608
_HISTORY = """
insert into order_history (order_id, version, status, at)
select order_id, version, status, at + version * interval '1 second'
from fresh, unnest({steps}) with ordinality as step (status, version)
"""
_SEQUENCES = "insert into event_sequence (subject, last) select order_id::text, {last} from fresh"

_PAID = "array['unpaid', 'processing']"
_DELIVERED = "array['unpaid', 'processing', 'packed', 'shipped', 'delivered']"
CANCELLED_EVERY = 20
"""Of the old orders, every so many-th was cancelled and refunded; the others were delivered."""
_IS_CANCELLED = f"n % {CANCELLED_EVERY} = 0"

_OLD_CANCELLATIONS = f"""
insert into cancellations (order_id, cancellation_id, seller_id, channel, requested_by, role, reason, fault, at)
select order_id, gen_random_uuid(), seller_id, 'app', buyer_id, 'buyer', 'changed_mind', 'buyer',
       at + interval '3 seconds' from fresh where {_IS_CANCELLED}
"""  # noqa: S608
_OLD_ORDER_REFUNDS = f"""
insert into order_refunds (order_id, refund_id, state, amount, destination, sequence)
select order_id, {_UUID7.format("at")}, 'issued', 50000, 'lazada_credit', 1 from fresh where {_IS_CANCELLED}
returning order_id, refund_id
"""  # noqa: S608


async def seed(urls: Mapping[str, str], first: int, count: int) -> list[tuple[str, str]]:
    """Adds `count` paid orders, placed within the last hour, numbered from `first`; returns (order, buyer) ids."""
    connection = await asyncpg.connect(urls["orders"])
    try:
        async with connection.transaction():
            await connection.execute(_PRODUCTS)
            age = "random() * interval '1 hour'"
            await connection.execute(_NEW.format(age=age), first, first + count - 1)
            await connection.execute(_ORDERS.format(status="'processing'", version=2))
            await connection.execute(_HISTORY.format(steps=_PAID))
            await connection.execute(_SEQUENCES.format(last=2))
            rows = await connection.fetch("select order_id::text, buyer_id::text from fresh order by n")
        await connection.execute("analyze")
        return [(row["order_id"], row["buyer_id"]) for row in rows]
    finally:
        await connection.close()


async def seed_old(urls: Mapping[str, str], count: int, chunk: int = 100_000) -> None:
    """Adds `count` orders that were placed between 2 and 400 days ago and are long delivered, or cancelled and
    refunded."""
    orders, refunds = await asyncpg.connect(urls["orders"]), await asyncpg.connect(urls["refunds"])
    try:
        for first in range(10_000_000, 10_000_000 + count, chunk):
            last = min(first + chunk, 10_000_000 + count) - 1
            async with orders.transaction(), refunds.transaction():
                await orders.execute(_PRODUCTS)
                age = "(interval '2 days' + random() * interval '398 days')"
                await orders.execute(_NEW.format(age=age), first, last)
                status = f"case when {_IS_CANCELLED} then 'cancelled' else 'delivered' end"
                version = f"case when {_IS_CANCELLED} then 3 else 5 end"
                await orders.execute(_ORDERS.format(status=status, version=version))
                steps = f"case when {_IS_CANCELLED} then {_PAID} || array['cancelled'] else {_DELIVERED} end"
                await orders.execute(_HISTORY.format(steps=steps))
                await orders.execute(_SEQUENCES.format(last=version))
                await orders.execute(_OLD_CANCELLATIONS)
                await orders.execute(_OLD_ORDER_REFUNDS)
                rows = await orders.fetch(
                    "select r.refund_id, c.cancellation_id, order_id, f.buyer_id, 50000, 'lazada_credit', 'issued', "
                    "c.at from fresh f join cancellations c using (order_id) join order_refunds r using (order_id)"
                )
                await _old_refunds(refunds, rows)
        await orders.execute("vacuum analyze")
        await refunds.execute("vacuum analyze")
    finally:
        await orders.close()
        await refunds.close()


async def _old_refunds(refunds: "asyncpg.Connection[asyncpg.Record]", rows: list[asyncpg.Record]) -> None:
    columns = ["refund_id", "cancellation_id", "order_id", "buyer_id", "amount", "destination", "state", "opened_at"]
    await refunds.copy_records_to_table("refunds", records=[tuple(row) for row in rows], columns=columns)
    ids = [row["refund_id"] for row in rows]
    await refunds.execute(
        "with t as (insert into ledger_transactions (transaction_id, refund_id, kind, at) "
        "select refund_id, refund_id, 'credit', opened_at from refunds where refund_id = any($1) "
        "returning transaction_id, refund_id) "
        "insert into ledger_entries (transaction_id, account, buyer_id, amount) "
        "select transaction_id, account, buyer_id, sign * amount from t join refunds using (refund_id), "
        "(values ('cancelled_orders', -1), ('lazada_credit', 1)) as side (account, sign)",
        ids,
    )
