"""What is known of refunds: with `store`, `products` and `records` the only SQL of `orders`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from contracts.orders import OrderCancelled
from runtime.messaging.unit_of_work import Transaction
from services.orders import metrics
from services.orders.domain import Refund


@dataclass(frozen=True)
class Repeated:
    """A cancellation to be published again; `correlation_id` is None if it is older than that column."""

    cancelled: OrderCancelled
    correlation_id: UUID | None


async def take_outstanding(tx: Transaction, after: timedelta, limit: int) -> tuple[int, list[Repeated]]:
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
            select order_id, r.state is distinct from 'issued' as outstanding, r.refund_id
            from due left join order_refunds r using (order_id)
        )
        update cancellations c
        set said_at = case when outstanding then clock_now() end, reminded = reminded + outstanding::integer
        from checked join orders o using (order_id) where c.order_id = checked.order_id
        returning outstanding, c.correlation_id, c.cancellation_id, c.order_id, o.buyer_id, c.seller_id, c.channel,
                  o.paid_amount, c.fault, checked.refund_id
        """,
        after,
        limit,
    )
    return len(rows), [_repeated(row) for row in rows if row["outstanding"]]


async def take_all(tx: Transaction, after: UUID, limit: int) -> list[Repeated]:
    """The paid cancellations with ids behind `after`, at most `limit`, in the order of their ids: they are counted as
    published once more."""
    rows = await tx.connection.fetch(
        """
        with paid as materialized (
            select c.order_id, r.refund_id, case r.state when 'issued' then r.destination end as refunded_to
            from cancellations c join orders o using (order_id) left join order_refunds r using (order_id)
            where o.paid_amount > 0 and c.cancellation_id > $1
            order by c.cancellation_id limit $2 for no key update of c
        )
        update cancellations c
        set said_at = case when said_at is not null then clock_now() end, reminded = least(reminded + 1, 32767)
        from paid join orders o using (order_id) where c.order_id = paid.order_id
        returning c.correlation_id, c.cancellation_id, c.order_id, o.buyer_id, c.seller_id, c.channel, o.paid_amount,
                  c.fault, paid.refund_id, paid.refunded_to
        """,
        after,
        limit,
    )
    return sorted(map(_repeated, rows), key=lambda one: one.cancelled.cancellation_id)


def _repeated(row: asyncpg.Record) -> Repeated:
    return Repeated(OrderCancelled(**row), row["correlation_id"])


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
    taken = await tx.connection.fetch(
        "with noted as (insert into order_refunds as r (order_id, refund_id, state, amount, destination, sequence) "
        "select distinct on (order_id) * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], "
        "$6::integer[]) as one (order_id, refund_id, state, amount, destination, sequence) "
        "order by order_id, sequence desc on conflict (order_id) do update set state = excluded.state, "
        "destination = excluded.destination, sequence = excluded.sequence where r.sequence < excluded.sequence) "
        "select extract(epoch from clock_now() - c.at)::float8 from cancellations c where c.order_id in "
        "(select order_id from unnest($1, $3) as one (order_id, state) where one.state = 'issued') and not exists "
        "(select from order_refunds r where r.order_id = c.order_id and r.state = 'issued')",  # as it was before
        *map(list, zip(*rows, strict=True)),
    )
    tx.after_commit(lambda: metrics.refunded([row[0] for row in taken]))


async def owed(tx: Transaction) -> tuple[int, int]:
    """How many paid orders are cancelled, and how many rupiah were paid for them."""
    row = await tx.connection.fetchrow(
        "select count(*), coalesce(sum(paid_amount), 0)::bigint from orders where status = 'cancelled' "
        "and paid_amount > 0"
    )
    return (row[0], row[1]) if row else (0, 0)
