"""Old orders, which make the tables large: delivered, or cancelled and refunded, some with threads and cases."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from batalkan.operate import connected
from lab.bench import seed
from lab.bench.seed import PRICE, PRODUCTS_OF_SELLERS, TRACEPARENT, Statements

FIRST = 1_000_000_000
"""The number of the first old order, after all measured ones."""
YOUNGEST, SPREAD = timedelta(days=2), timedelta(days=398)
CHUNK = 100_000
REMEMBERED = timedelta(days=30)
"""The retention of inbox rows."""

# Which old orders are cancelled, have a thread (of four messages), or a case (of six).
CANCELLED, TALKED, ASKED = "n % 20 = 0", "n % 20 = 1", "n % 100 = 2"
_STATUS = f"case when {CANCELLED} then 'cancelled' else 'delivered' end"
_STEPS = f"""
lateral (
    values (1, 'unpaid'), (2, 'processing'), (3, case when {CANCELLED} then 'cancelled' else 'packed' end),
           (4, 'shipped'), (5, 'delivered')
) as step (version, status) where version <= case when {CANCELLED} then 3 else 5 end
"""


def _inbox(events: str, condition: str = "true") -> str:
    """The inbox rows for so many events of each order."""
    days = REMEMBERED.days
    return (
        "insert into inbox (event_id, at) select pg_temp.id(at, 'event' || n || '.' || event), at from numbered, "
        f"generate_series(1, {events}) event where at > now() - interval '{days} days' and {condition} order by at"
    )


_OLD: Statements = {
    "orders": (
        PRODUCTS_OF_SELLERS,
        seed.orders(_STATUS, f"case when {CANCELLED} then 3 else 5 end"),
        seed.history(_STEPS),
        seed.sequences(f"case when {CANCELLED} then 4 else 5 end"),
        seed.cancellations(CANCELLED),
        "update cancellations c set refund_id = n.refund_id, refund_state = 'issued', destination = 'lazada_credit', "
        "refund_sequence = 1 from numbered n where c.cancellation_id = n.cancellation_id",
        _inbox("1", CANCELLED),
    ),
    "refunds": (
        "insert into refunds (refund_id, cancellation_id, order_id, buyer_id, amount, destination, state, opened_at) "
        f"select refund_id, cancellation_id, order_id, buyer_id, {PRICE}, 'lazada_credit', 'issued', at "
        f"from numbered where {CANCELLED}",
        "insert into ledger_transactions (transaction_id, refund_id, kind, at) "
        f"select pg_temp.id(at, 'transaction' || n), refund_id, 'credit', at from numbered where {CANCELLED}",
        "insert into ledger_entries (transaction_id, account, buyer_id, amount) "
        f"select pg_temp.id(at, 'transaction' || n), account, buyer_id, sign * {PRICE} from numbered, "
        f"(values ('cancelled_orders', -1), ('lazada_credit', 1)) as side (account, sign) where {CANCELLED}",
        seed.sequences("1", CANCELLED),
        _inbox("1", CANCELLED),
    ),
    "chat": (
        seed.orders_at_chat(f"case when {CANCELLED} then 5 else 4 end"),
        "insert into threads (thread_id, order_id, buyer_id, seller_id, last_seq, buyer_read, seller_read, active_at) "
        "select pg_temp.id(at, 'thread' || n), order_id, buyer_id, seller_id, 4, 4, 4, at from numbered "
        f"where {TALKED}",
        "insert into messages (thread_id, seq, kind, sender_id, text, at) select pg_temp.id(at, 'thread' || n), seq, "
        "'text', case when seq % 2 = 1 then buyer_id else seller_id end, 'Kapan pesanan saya dikirim?', at "
        f"from numbered, generate_series(1, 4) seq where {TALKED}",
        "insert into refunds_known (refund_id, order_id, destination, amount) "
        f"select refund_id, order_id, 'lazada_credit', {PRICE} from numbered where {CANCELLED}",
        _inbox("4"),
    ),
    "cs": (
        seed.orders_at_cs(_STATUS, 5),
        "insert into cases (case_id, buyer_id, state, agent_id, order_id, outcome, opened_at, ended_at, last_seq, "
        "spoken_at, correlation_id, traceparent) select pg_temp.id(at, 'case' || n), buyer_id, 'closed', seller_id, "
        f"order_id, 'answered', at, at, 6, at, order_id, {TRACEPARENT} from numbered where {ASKED}",
        "insert into messages (case_id, seq, kind, sender_id, text, at) select pg_temp.id(at, 'case' || n), seq, "
        "'text', case when seq % 2 = 1 then buyer_id else seller_id end, 'Penjual tidak menjawab saya.', at "
        f"from numbered, generate_series(1, 6) seq where {ASKED}",
        _inbox("4"),
    ),
}


async def seed_old(urls: Mapping[str, str], count: int) -> None:
    """Adds `count` orders that were placed between 400 and 2 days ago, the oldest first, to every database."""
    began, step = await seed.moment(urls) - YOUNGEST - SPREAD, SPREAD / count

    async def one(service: str) -> None:
        for done in range(0, count, CHUNK):
            first, last = FIRST + done, FIRST + min(done + CHUNK, count) - 1
            await seed.fill(urls[service], _OLD[service], first, last, began + done * step, step)
        async with connected(urls[service]) as connection:
            await connection.execute("vacuum analyze")

    await asyncio.gather(*(one(service) for service in _OLD if service in urls))
