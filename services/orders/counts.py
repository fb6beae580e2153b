"""What is counted, now: orders by status, and what sellers' scores follow from."""

from collections.abc import Sequence
from uuid import UUID

from contracts.words import OrderStatus
from runtime.messaging.unit_of_work import Transaction
from services.orders.score import Score

COUNTED = 1000
"""Orders of an account, the newest: what counting costs is bounded."""


async def by_status(tx: Transaction, person: UUID, *, selling: bool) -> dict[OrderStatus, int]:
    """How many of the newest orders of a buyer, or of a seller, have which status."""
    owner = "seller_id" if selling else "buyer_id"
    rows = await tx.connection.fetch(
        f"select status, count(*) from (select status from orders where {owner} = $1 order by order_id desc limit $2) "
        "as newest group by status",
        person,
        COUNTED,
    )
    return {OrderStatus(row["status"]): row["count"] for row in rows}


async def scores(tx: Transaction, seller_ids: Sequence[UUID]) -> dict[UUID, Score]:
    """The numbers of each of the sellers, of the orders that were paid or are cash on delivery."""
    rows = await tx.connection.fetch(
        """
        select s.seller_id, o.*, c.* from unnest($1::uuid[]) as s (seller_id), lateral (
            select count(*), coalesce(sum(pieces), 0)::bigint as pieces from orders
            where seller_id = s.seller_id and (paid_amount > 0 or payment_method = 'cod')
        ) as o, lateral (
            select count(*) filter (where fault = 'seller') as by_seller,
                   count(*) filter (where fault = 'buyer') as by_buyer,
                   count(*) filter (where fault = 'platform') as by_platform,
                   coalesce(sum(pieces) filter (where fault = 'seller'), 0)::bigint as pieces_by_seller
            from (
                select fault, order_id, sum(pieces) as pieces from cancellations
                where seller_id = s.seller_id and scored group by fault, order_id
            ) as orders_with_cancelled_pieces
        ) as c
        """,
        seller_ids,
    )
    return {seller_id: Score(*numbers) for seller_id, *numbers in (row.values() for row in rows)}
