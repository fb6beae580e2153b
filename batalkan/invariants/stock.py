"""The stock: the remaining pieces and the pieces in live orders are together the offered pieces. The vouchers: each is
used as often as live orders have it."""

from batalkan.invariants.stores import Stores

# A product that is older than the column `offered` has null there, and is not checked.
_WRONG_STOCK = """
select product_id, offered, stock, coalesce(live.pieces, 0) as ordered from products left join (
    select product_id, sum(quantity - coalesce(cancelled, 0))::bigint as pieces
    from orders o, jsonb_to_recordset(o.lines) as line (product_id uuid, quantity integer, cancelled integer)
    where o.status <> 'cancelled' group by product_id
) live using (product_id)
where offered <> stock + coalesce(live.pieces, 0)
"""
_WRONG_USES = """
select voucher_id, used, count(order_id) as had from vouchers v left join orders o
on o.seller_id = v.seller_id and o.voucher = v.code and o.status <> 'cancelled'
group by voucher_id having used <> count(order_id)
"""


async def broken(stores: Stores) -> list[str]:
    """Products with too many or too few pieces; vouchers with too many or too few uses."""
    return await stores.found(
        "orders",
        (_WRONG_STOCK, "of product {product_id} {offered} were offered, {stock} are left, {ordered} are ordered"),
        (_WRONG_USES, "voucher {voucher_id} is counted as used by {used}, but {had} live orders have it"),
    )
