"""The SQL about what is known of refunds. Cancellations are locked in the order of their ids, after their orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from contracts.orders import OrderCancelled, OrderItemsCancelled
from runtime.messaging.unit_of_work import Transaction
from services.orders import metrics
from services.orders.domain import Refund


@dataclass(frozen=True)
class Repeated:
    """A cancellation to be published again; `correlation_id` is None if it is older than that column."""

    cancelled: OrderCancelled | OrderItemsCancelled
    correlation_id: UUID | None


_EVENT = """
c.correlation_id, c.cancellation_id, c.order_id, o.buyer_id, c.seller_id, c.channel, c.lines, c.refund_amount,
c.refund_amount as paid_amount, c.fault, c.refund_id, case c.refund_state when 'issued' then c.destination end
as refunded_to
"""


_OUTSTANDING = """
with due as (
    select cancellation_id from cancellations
    where said_at < clock_now() - $1::interval and said_at < clock_now() - $1::interval * 2 ^ least(reminded, 8)
    order by said_at limit $2 for update skip locked
)
update cancellations c set said_at = clock_now(), reminded = least(reminded + 1, 32767)
from due, orders o where c.cancellation_id = due.cancellation_id and o.order_id = c.order_id
"""
_THESE = """
with these as materialized (
    select cancellation_id from cancellations where cancellation_id = any($1) order by cancellation_id for no key update
)
update cancellations c set reminded = least(reminded + 1, 32767),
    said_at = case when said_at is not null then clock_now() end from these
"""
_ALL = """
with paid as materialized (
    select cancellation_id from cancellations where refund_amount > 0 and cancellation_id > $1
    order by cancellation_id limit $2 for no key update
)
update cancellations c
set said_at = case when said_at is not null then clock_now() end, reminded = least(reminded + 1, 32767)
from paid, orders o where c.cancellation_id = paid.cancellation_id and o.order_id = c.order_id
"""


async def take_outstanding(tx: Transaction, after: timedelta, limit: int) -> list[Repeated]:
    """The cancellations to publish again, at most `limit`: its refund is not known to have arrived, and its event is
    older than `after`, doubled for each one since the first, up to 256 times as long."""
    rows = await tx.connection.fetch(f"{_OUTSTANDING} returning {_EVENT}", after, limit)
    return list(map(_repeated, rows))


async def take_all(tx: Transaction, after: UUID, limit: int) -> list[Repeated]:
    """The cancellations with a refund and with ids behind `after`, at most `limit`, in the order of their ids: they are
    counted as published once more."""
    rows = await tx.connection.fetch(f"{_ALL} returning {_EVENT}", after, limit)
    return sorted(map(_repeated, rows), key=lambda one: one.cancelled.cancellation_id)


def _repeated(row: asyncpg.Record) -> Repeated:
    kind = OrderCancelled if row["lines"] is None else OrderItemsCancelled
    return Repeated(kind.model_validate(dict(row)), row["correlation_id"])


async def note_published_again(tx: Transaction, cancellation_ids: Sequence[UUID]) -> None:
    """Counts that cancellations were published once more, because their requests were repeated."""
    if cancellation_ids:
        await tx.connection.execute(f"{_THESE} where c.cancellation_id = these.cancellation_id", cancellation_ids)


async def note_refunds(tx: Transaction, refunds: Sequence[tuple[UUID, Refund, int]]) -> None:
    """Keeps the latest state of refunds, given as (cancellation, refund, sequence); a late event, after a newer one,
    changes nothing. Once a refund has arrived, it stays so, and its cancellation is not published again."""
    rows = [
        (cancellation_id, refund.refund_id, refund.state, refund.destination, sequence)
        for cancellation_id, refund, sequence in refunds
    ]
    taken = await tx.connection.fetch(
        """
        with noted as (
            select distinct on (cancellation_id) *
            from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::integer[])
                 as one (cancellation_id, refund_id, state, destination, sequence)
            order by cancellation_id, sequence desc
        ), before as materialized (
            select cancellation_id, refund_state, refund_sequence from cancellations
            where cancellation_id = any($1) order by cancellation_id for no key update
        )
        update cancellations c
        set refund_id = n.refund_id, refund_state = n.state, destination = n.destination, refund_sequence = n.sequence,
            said_at = case when n.state <> 'issued' then c.said_at end
        from noted n join before b using (cancellation_id)
        where c.cancellation_id = n.cancellation_id and coalesce(b.refund_sequence, 0) < n.sequence
          and (n.state = 'issued' or b.refund_state is distinct from 'issued')
        returning case when n.state = 'issued' and b.refund_state is distinct from 'issued'
                       then extract(epoch from clock_now() - c.at)::float8 end
        """,
        *map(list, zip(*rows, strict=True)),
    )
    tx.after_commit(lambda: metrics.refunded([row[0] for row in taken if row[0] is not None]))


async def cancellation_of(tx: Transaction, order_id: UUID) -> UUID | None:
    """The cancellation that ended the order."""
    found: UUID | None = await tx.connection.fetchval(
        "select cancellation_id from cancellations where order_id = $1 and lines is null", order_id
    )
    return found


async def owed(tx: Transaction) -> tuple[int, int]:
    """How many cancellations have a refund, and how many rupiah all these refunds are."""
    row = await tx.connection.fetchrow(
        "select count(*), coalesce(sum(refund_amount), 0)::bigint from cancellations where refund_amount > 0"
    )
    return (row[0], row[1]) if row else (0, 0)
