"""The lists of one's own orders."""

from typing import Any

from tests.harness.actors import Person
from tests.harness.orders import OrdersHarness


async def all_of(person: Person, limit: int, **more: Any) -> list[str]:
    """The order ids of a whole list, part by part."""
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await person.get("/orders", limit=limit, **cursor, **more)
        assert len(page["items"]) <= limit
        ids += [order["order_id"] for order in page["items"]]
        if page["next"] is None:
            return ids
        cursor = {"cursor": page["next"]}


async def test_250_orders_come_in_parts(harness: OrdersHarness) -> None:
    """However large the parts, they add up to all orders, newest first, without gaps and repetitions; for the seller
    as for the buyer."""
    buyer, seller = harness.buyer(), harness.seller()
    ids = sorted(await harness.many(250, buyer, seller), reverse=True)
    for limit in (100, 50, 83):
        assert await all_of(buyer, limit) == ids
    assert await all_of(seller, 100) == ids


async def test_orders_by_status(harness: OrdersHarness) -> None:
    """`?status=` shows those alone, each as it is shown by itself; `/orders/counts` counts them."""
    buyer, seller = harness.buyer(), harness.seller()
    packed, shipped = await harness.many(3, buyer, seller), await harness.many(4, buyer, seller, "shipped")
    for person in (buyer, seller):
        assert await person.get("/orders/counts") == {"packed": 3, "shipped": 4}
    assert await all_of(buyer, 2, status="packed") == sorted(packed, reverse=True)
    assert await all_of(seller, 4, status="shipped") == sorted(shipped, reverse=True)
    assert await all_of(buyer, 10, status="delivered") == []
    for order in (await buyer.get("/orders"))["items"]:
        assert order == await buyer.get(f"/orders/{order['order_id']}")


async def test_others_orders_are_not_listed(harness: OrdersHarness) -> None:
    """An account without orders gets an empty list, even with a cursor from another account's list."""
    buyer, seller = harness.buyer(), harness.seller()
    ids = await harness.many(2, buyer, seller)
    for stranger in (harness.buyer(), harness.seller()):
        assert await stranger.get("/orders") == {"items": [], "next": None}
        assert (await stranger.get("/orders", cursor=max(ids)))["items"] == []
