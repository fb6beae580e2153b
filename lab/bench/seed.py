"""Seeds the databases with paid orders, as the services would have written them.

Every order is a function of its number and of one moment, so that SQL can fill each database alone, and all agree.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg

from batalkan.operate import connected

SELLERS = 50
PRODUCTS = 500
ORDERS_PER_BUYER = 5
STOCK = 1_000_000
PRICE = 50_000

_ACCOUNT = "('0190d3a0-0000-7000-{0}-' || lpad(to_hex({1}), 12, '0'))::uuid"
_BUYER, _SELLER, _PRODUCT = _ACCOUNT.format("9000", "{}"), _ACCOUNT.format("a000", "{}"), _ACCOUNT.format("b000", "{}")

# UUIDv7 like those of the services: milliseconds, then random bits, here from a name.
_ID = """
create or replace function pg_temp.id(at timestamptz, name text) returns uuid language sql immutable as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(name), 1, 3) || '8'
            || substr(md5(name), 4, 15))::uuid
$$
"""
_NUMBERED = f"""
create temp table numbered on commit drop as
select n, at, pg_temp.id(at, 'order' || n) as order_id,
       pg_temp.id(at, 'cancellation' || n) as cancellation_id, pg_temp.id(at, 'refund' || n) as refund_id,
       {_BUYER.format(f"n / {ORDERS_PER_BUYER}")} as buyer_id, {_SELLER.format(f"n % {SELLERS}")} as seller_id,
       {_PRODUCT.format(f"n % {PRODUCTS}")} as product_id, 'Bench ' || n % {PRODUCTS} as title
from (
    select n, $3::timestamptz + (n - $1) * $4::interval as at from generate_series($1::bigint, $2::bigint) n
) as times
"""
PRODUCTS_OF_SELLERS = f"""
insert into products (product_id, seller_id, title, price, stock)
select {_PRODUCT.format("n")}, {_SELLER.format(f"n % {SELLERS}")}, 'Bench ' || n, {PRICE}, {STOCK}
from generate_series(0, {PRODUCTS} - 1) n on conflict do nothing
"""
LINES = (
    "jsonb_build_array(jsonb_build_object('product_id', product_id, 'title', title, 'quantity', 1, "
    f"'unit_price', {PRICE}, 'net', {PRICE}, 'cancelled', 0))"
)

TRACEPARENT = "'00-' || repeat('a', 32) || '-' || repeat('b', 16) || '-01'"

Statements = Mapping[str, Sequence[str]]
"""For each service, the statements that fill its database from `numbered`."""


def orders(status: str, version: str) -> str:
    """The orders as `orders` has them; status and version are SQL, here and below."""
    return (
        "insert into orders (order_id, buyer_id, seller_id, status, lines, total, payment_method, paid_amount, "
        f"placed_at, version) select order_id, buyer_id, seller_id, {status}, {LINES}, {PRICE}, 'bank_transfer', "
        f"{PRICE}, at, {version} from numbered"
    )


def orders_at_cs(status: str, sequence: int) -> str:
    """The orders as customer service has them."""
    return (
        "insert into orders (order_id, status, sequence, buyer_id, seller_id, lines, total, payment_method, placed_at) "
        f"select order_id, {status}, {sequence}, buyer_id, seller_id, {LINES}, {PRICE}, 'bank_transfer', at "
        "from numbered"
    )


def orders_at_chat(rank: str) -> str:
    """The orders as chat has them."""
    return (
        "insert into orders_known (order_id, buyer_id, seller_id, title, status_rank) "
        f"select order_id, buyer_id, seller_id, title, {rank} from numbered"
    )


def history(steps: str) -> str:
    """The statuses of the orders, a second apart."""
    return (
        "insert into order_history (order_id, version, status, at) "
        f"select order_id, version, status, at + version * interval '1 second' from numbered, {steps}"
    )


def sequences(last: str, condition: str = "true") -> str:
    """The number of events of each order."""
    return f"insert into event_sequence (subject, last) select order_id::text, {last} from numbered where {condition}"


def cancellations(condition: str = "true") -> str:
    """The cancellations by the buyers."""
    return (
        "insert into cancellations (order_id, cancellation_id, seller_id, channel, requested_by, role, reason, fault, "
        "pieces, refund_amount, at) select order_id, cancellation_id, seller_id, 'app', buyer_id, 'buyer', "
        f"'changed_mind', 'buyer', 1, {PRICE}, at + interval '3 seconds' from numbered where {condition}"
    )


_PAID: Statements = {
    "orders": (
        PRODUCTS_OF_SELLERS,
        orders("'processing'", "2"),
        "update orders o set ship_by = at + interval '3 days' from numbered n where n.order_id = o.order_id",
        "insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent) select 'ship_by', "
        f"order_id::text, at + interval '2 days', order_id, order_id, {TRACEPARENT} from numbered",
        history("(values (1, 'unpaid'), (2, 'processing')) as step (version, status)"),
        sequences("2"),
    ),
    "chat": (orders_at_chat("1"),),
    "cs": (orders_at_cs("'processing'", 2),),
}


async def seed(urls: Mapping[str, str], first: int, count: int) -> list[tuple[str, str]]:
    """Adds `count` paid orders, placed within the last hour, numbered from `first`; returns (order, buyer) ids."""
    began = await moment(urls) - timedelta(hours=1)
    filled = {
        service: await fill(urls[service], statements, first, first + count - 1, began, timedelta(hours=1) / count)
        for service, statements in _PAID.items()
        if service in urls
    }
    return [(row["order_id"], row["buyer_id"]) for row in filled["orders"]]


async def moment(urls: Mapping[str, str]) -> datetime:
    """The current time of the database of `orders`."""
    async with connected(urls["orders"]) as connection:
        now: datetime = await connection.fetchval("select clock_now()")
        return now


async def fill(
    url: str, statements: Sequence[str], first: int, last: int, at: datetime, step: timedelta
) -> list[asyncpg.Record]:
    """Runs the statements for the orders `first` to `last`; the first was placed `at`, each next one `step` later.
    Returns the ids of orders and buyers."""
    async with connected(url) as connection:
        # The rows are known to be valid: skip foreign keys and the ledger's triggers.
        await connection.execute("set session_replication_role = replica; set synchronous_commit = off")
        await connection.execute(_ID)
        async with connection.transaction():
            await connection.execute(_NUMBERED, first, last, at, step)
            for statement in statements:
                await connection.execute(statement)
            rows: list[asyncpg.Record] = await connection.fetch(
                "select order_id::text, buyer_id::text from numbered order by n"
            )
        await connection.execute("analyze")
        return rows
