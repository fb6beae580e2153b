"""Parts of an order against each other, and against all else that changes it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

from contracts.orders import Pieces
from tests.harness.orders import OrdersHarness, Sale
from tests.harness.waiting import becomes
from tests.orders.test_parts import ask, bought


async def test_the_same_pieces_twice_at_once(harness: OrdersHarness) -> None:
    """Of two requests for the same two pieces of three, from the app and the chat, one is granted, and the other is
    refused; the stock is exact."""
    sales = [await bought(harness) for _ in range(10)]

    async def race(sale: Sale) -> int:
        pieces = (Pieces(product_id=UUID(sale.product), quantity=2),)
        answer, _ = await asyncio.gather(ask(sale, (sale.product, 2)), harness.request(sale, lines=pieces))
        assert await harness.stock(sale.product) == 9
        return answer.status_code

    statuses = await asyncio.gather(*(race(sale) for sale, _ in sales))
    assert set(statuses) <= {200, 409}
    for sale, _ in sales:
        await harness.recorder.wait_for(sale.order_id, "OrderItemsCancelled")
        assert len((await sale.seen())["cancellations"]) == 1


async def test_parts_against_everything_else(harness: OrdersHarness, deadlocks: list[str]) -> None:
    """Parts, the whole, shipping and the deadline to ship at the same moment: each order ends in one way, what its
    cancellations refund is the net of its cancelled pieces or all that was paid, the stock is exact, and no transaction
    fails in a deadlock."""
    seller = harness.seller()
    products = [await harness.product(seller, stock=1000) for _ in range(3)]
    await seller.post("/orders/vouchers", {"code": "RACE", "amount": 7, "uses": 1000}, 201)
    sales: list[Sale] = []
    for _ in range(24):
        buyer, chosen = harness.buyer(), random.sample(products, 2)
        body = {"lines": [{"product_id": one, "quantity": 3} for one in chosen], "payment_method": "dana"}
        order = await buyer.post("/orders", body | {"voucher": "RACE"}, 201)
        sales.append(Sale(buyer, seller, chosen[0], order["order_id"]))
        await buyer.post(f"{sales[-1].path}/pay")
        await seller.post(f"{sales[-1].path}/pack")
    await harness.fetch(
        "with soon as (update orders set ship_by = clock_now() + random() * interval '1 second' "
        "where seller_id = $1 returning order_id::text, ship_by) "
        "update deadlines set due_at = ship_by from soon where subject = order_id",
        seller.account_id,
    )

    async def act(sale: Sale) -> None:
        pieces = (Pieces(product_id=UUID(sale.product), quantity=1),)
        ways: list[Callable[[], Awaitable[object]]] = [
            lambda: ask(sale, (sale.product, 1)),
            lambda: ask(sale, (sale.product, 2)),
            lambda: harness.request(sale, lines=pieces),
            lambda: sale.buyer.ask("POST", f"{sale.path}/cancel"),
            lambda: seller.ask("POST", f"{sale.path}/ship"),
        ]
        await asyncio.sleep(random.random())
        await asyncio.gather(*(way() for way in random.sample(ways, 3)))

    await asyncio.gather(*map(act, sales))
    waiting = "select from orders where seller_id = $1 and status = 'packed'"
    await becomes(lambda: harness.fetch(waiting, seller.account_id), [])
    assert deadlocks == []
    left = kept = 0
    for sale in sales:
        order = await sale.seen()
        kept += order["status"] == "shipped"
        left += sum(line["quantity"] - line["cancelled"] for line in order["lines"])
        parts = sum(line["net"] for one in order["cancellations"] for line in one["lines"])
        assert order["status"] in ("cancelled", "shipped")
        assert order["refunded_amount"] == sum(one["refund_amount"] for one in order["cancellations"]) == parts
        assert (order["refunded_amount"] == order["paid_amount"]) == (order["status"] == "cancelled")
    assert sum([await harness.stock(product) for product in products]) == 3000 - left
    [voucher] = (await seller.get("/orders/vouchers"))["items"]
    assert voucher["used"] == kept
