"""The orders: each history is a possible path through the statuses, and the order agrees with its history."""

from batalkan.invariants.stores import Stores

_WRONG_HISTORIES = """
with steps as (
    select order_id, version, status, lag(status) over (partition by order_id order by version) as before,
           row_number() over (partition by order_id order by version) as n
    from order_history
), wrong as (
    select order_id from steps where version <> n or (coalesce(before, ''), status) not in (
        ('', 'unpaid'), ('', 'processing'), ('unpaid', 'processing'), ('processing', 'packed'), ('packed', 'shipped'),
        ('shipped', 'delivered'), ('unpaid', 'cancelled'), ('processing', 'cancelled'), ('packed', 'cancelled')
    )
    union
    select o.order_id from orders o left join lateral (
        select status, version from order_history h where h.order_id = o.order_id order by version desc limit 1
    ) last on true where last.status is distinct from o.status or last.version is distinct from o.version
)
select order_id from wrong
"""
_CANCELLED_AND_SHIPPED = """
select order_id from order_history where status = 'cancelled'
intersect select order_id from order_history where status = 'shipped'
"""
_NOT_AS_CANCELLED = """
select o.order_id from orders o left join cancellations c on c.order_id = o.order_id and c.lines is null
where (o.status = 'cancelled') <> (c.order_id is not null)
"""
_PAID_AND_EXPIRED = """
select order_id from orders join cancellations using (order_id) where reason = 'not_paid' and channel = 'system'
and paid_amount > 0
"""
_NEVER_EXPIRES = """
select order_id from orders where status = 'unpaid' and not exists (
    select from deadlines where kind = 'pay_by' and subject = order_id::text and due_at >= pay_by
)
"""
_CANCELLED_EARLY = """
select order_id from orders join cancellations using (order_id) where reason = 'not_shipped' and channel = 'system'
and at < ship_by
"""
# The first of two deadlines reminds the seller, a day before the order is cancelled.
_NEVER_DUE = """
select order_id from orders where status in ('processing', 'packed') and not exists (
    select from deadlines where kind = 'ship_by' and subject = order_id::text and due_at >= ship_by - interval '1 day'
)
"""


async def broken(stores: Stores) -> list[str]:
    """Impossible histories; orders both cancelled and shipped, or cancelled without a cancellation; orders that expired
    although paid, or before their time to ship; unpaid or unshipped orders that never expire."""
    return await stores.found(
        "orders",
        (_WRONG_HISTORIES, "the history of order {order_id} is impossible"),
        (_CANCELLED_AND_SHIPPED, "order {order_id} is cancelled, and has shipped"),
        (_NOT_AS_CANCELLED, "order {order_id} is cancelled without a cancellation, or the other way round"),
        (_PAID_AND_EXPIRED, "order {order_id} was cancelled because it was not paid, and is paid"),
        (_NEVER_EXPIRES, "order {order_id} is not paid and does not expire"),
        (_CANCELLED_EARLY, "order {order_id} was cancelled because it was not shipped, before its time was over"),
        (_NEVER_DUE, "order {order_id} is not shipped, and has no deadline that cancels it"),
    )
