"""The stock: what is left of a product, and what stands in orders that are not cancelled, is what was offered."""

from batalkan.invariants.stores import Stores

# A product from before `offered` was kept has null there, and nothing can be said of it.
_WRONG_STOCK = """
select product_id, offered, stock, coalesce(live.pieces, 0) as ordered from products left join (
    select product_id, sum(quantity)::bigint as pieces
    from orders o, jsonb_to_recordset(o.lines) as line (product_id uuid, quantity integer)
    where o.status <> 'cancelled' group by product_id
) live using (product_id)
where offered <> stock + coalesce(live.pieces, 0)
"""


async def broken(stores: Stores) -> list[str]:
    """Products of which pieces have come or gone."""
    return [
        f"of product {one['product_id']} {one['offered']} were offered, {one['stock']} are left, "
        f"{one['ordered']} are ordered"
        for one in await stores.rows("orders", _WRONG_STOCK)
    ]
