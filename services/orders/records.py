"""What the operator's console finds in `orders`: orders and cancellations, without what people wrote."""

from collections.abc import Sequence
from uuid import UUID

from runtime.messaging.operations import Record
from runtime.storage.database import Connection


async def find(connection: Connection, ids: Sequence[UUID]) -> Sequence[Record]:
    """The orders with these ids, and those of these cancellations; each with all its cancellations."""
    rows = await connection.fetch(_ORDERS, ids)
    orders = [row["order_id"] for row in rows]
    steps, made = await connection.fetch(_HISTORY, orders), await connection.fetch(_CANCELLATIONS, orders)
    found = []
    for row in rows:
        facts = {name: row[name] for name in _FACTS}
        facts["voucher"] = row["voucher"] is not None  # sellers write the codes
        facts |= {step["status"]: step["at"] for step in steps if step["order_id"] == row["order_id"]}
        cancellations = [one for one in made if one["order_id"] == row["order_id"]]
        related = [one["cancellation_id"] for one in cancellations]
        found.append(Record("order", row["order_id"], row["placed_at"], facts, related))
        for one in cancellations:
            names = ("channel", "role", "fault", "requested_by", "reminded", "pieces", "refund_amount")
            facts = {name: one[name] for name in (*names, "refund_state", "refund_id")}
            related = [other for other in (row["order_id"], one["correlation_id"], one["refund_id"]) if other]
            found.append(Record("cancellation", one["cancellation_id"], one["at"], facts, related))
    return found


_FACTS = ("status", "total", "paid_amount", "payment_method", "buyer_id", "seller_id", "ship_by")
_ORDERS = """
select * from orders where order_id = any($1)
   or order_id = any(array(select order_id from cancellations where cancellation_id = any($1)))
order by order_id
"""
_HISTORY = "select order_id, status, at from order_history where order_id = any($1) order by order_id, version"
_CANCELLATIONS = """
select * from cancellations where order_id = any($1) and lines is null union all
select * from cancellations where order_id = any($1) and lines is not null order by at, cancellation_id
"""
"""Of whole orders and of parts, which have an index each."""
