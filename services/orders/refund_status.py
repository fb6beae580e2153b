"""What is known of refunds: with `store` and `products` the only SQL of `orders`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from contracts.orders import OrderCancelled
from runtime.messaging.unit_of_work import Transaction
from services.orders.domain import Refund


@dataclass(frozen=True)
class Outstanding:
    """A cancellation whose refund is not known to have arrived; `correlation_id` is None if it is older than that
    column."""

    cancelled: OrderCancelled
    correlation_id: UUID | None


async def take_outstanding(tx: Transaction, after: timedelta, limit: int) -> tuple[int, list[Outstanding]]:
    """How many cancellations were checked, at most `limit`, and those of them to publish again.

    A paid cancellation is checked when it was last published longer ago than `after`, doubled for each time that it was
    published again, up to 256 times as long. Once its refund has arrived, it is not checked any more.
    """
    rows = await tx.connection.fetch(
        """
        with due as (
            select order_id from cancellations
            where said_at < clock_now() - $1::interval
              and said_at < clock_now() - $1::interval * 2 ^ least(reminded, 8)
            order by said_at limit $2 for update skip locked
        ), checked as materialized (
            select order_id, not exists (
                select from order_refunds r where r.order_id = due.order_id and r.state = 'issued'
            ) as outstanding
            from due
        )
        update cancellations c
        set said_at = case when outstanding then clock_now() end, reminded = reminded + outstanding::integer
        from checked join orders o using (order_id) where c.order_id = checked.order_id
        returning outstanding, c.correlation_id, c.cancellation_id, c.order_id, o.buyer_id, c.seller_id, c.channel,
                  o.paid_amount, c.fault
        """,
        after,
        limit,
    )
    return len(rows), [Outstanding(OrderCancelled(**row), row["correlation_id"]) for row in rows if row["outstanding"]]


async def note_published_again(tx: Transaction, cancellation_id: UUID) -> None:
    """Counts that a cancellation was published once more, because its request was repeated."""
    await tx.connection.execute(
        "update cancellations set reminded = least(reminded + 1, 32767), "
        "said_at = case when said_at is not null then clock_now() end where cancellation_id = $1",
        cancellation_id,
    )


async def note_refunds(tx: Transaction, refunds: Sequence[tuple[UUID, Refund, int]]) -> None:
    """Keeps the latest state of refunds, given as (order, refund, sequence); a late event, after a newer one, changes
    nothing."""
    rows = [
        (order_id, refund.refund_id, refund.state, refund.amount, refund.destination, sequence)
        for order_id, refund, sequence in refunds
    ]
    await tx.connection.execute(
        "insert into order_refunds as r (order_id, refund_id, state, amount, destination, sequence) "
        "select distinct on (order_id) * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], "
        "$6::integer[]) as one (order_id, refund_id, state, amount, destination, sequence) "
        "order by order_id, sequence desc on conflict (order_id) do update set state = excluded.state, "
        "destination = excluded.destination, sequence = excluded.sequence where r.sequence < excluded.sequence",
        *map(list, zip(*rows, strict=True)),
    )


async def owed(tx: Transaction) -> tuple[int, int]:
    """How many paid orders are cancelled, and how many rupiah were paid for them."""
    row = await tx.connection.fetchrow(
        "select count(*), coalesce(sum(paid_amount), 0)::bigint from orders where status = 'cancelled' "
        "and paid_amount > 0"
    )
    return (row[0], row[1]) if row else (0, 0)
