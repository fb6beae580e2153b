"""What the operator's console finds in `orders`: orders and cancellations, without what people wrote."""

from collections.abc import Sequence
from uuid import UUID

from runtime.messaging.operations import Record
from runtime.storage.database import Connection


async def find(connection: Connection, ids: Sequence[UUID]) -> Sequence[Record]:
    """The orders with these ids, and those of these cancellations."""
    rows = await connection.fetch(_ORDERS, ids)
    steps = await connection.fetch(_HISTORY, [row["order_id"] for row in rows])
    found = []
    for row in rows:
        facts = {
            name: row[name] for name in ("status", "total", "paid_amount", "payment_method", "buyer_id", "seller_id")
        }
        facts |= {step["status"]: step["at"] for step in steps if step["order_id"] == row["order_id"]}
        related = [row["cancellation_id"]] if row["cancellation_id"] else []
        found.append(Record("order", row["order_id"], row["placed_at"], facts, related))
        if row["cancellation_id"]:
            names = ("channel", "role", "fault", "requested_by", "reminded", "refund_state", "refund_id")
            related = [one for one in (row["order_id"], row["correlation_id"], row["refund_id"]) if one]
            facts = {name: row[name] for name in names}
            found.append(Record("cancellation", row["cancellation_id"], row["cancelled_at"], facts, related))
    return found


_ORDERS = """
select o.order_id, o.status, o.total, o.paid_amount, o.payment_method, o.buyer_id, o.seller_id, o.placed_at,
       c.cancellation_id, c.channel, c.role, c.fault, c.requested_by, c.reminded, c.at as cancelled_at,
       c.correlation_id, r.refund_id, r.state as refund_state
from orders o left join cancellations c using (order_id) left join order_refunds r using (order_id)
where o.order_id = any($1)
   or o.order_id = any(array(select order_id from cancellations where cancellation_id = any($1)))
order by o.order_id
"""
_HISTORY = "select order_id, status, at from order_history where order_id = any($1) order by order_id, version"
