"""Orders that are not shipped in time are cancelled automatically, after a reminder."""

from datetime import datetime, timedelta

import pytest

from batalkan.keys import Keys
from services.orders import store
from services.orders.domain import Terms
from services.orders.main import SPEC
from tests.conftest import Databases
from tests.harness.orders import OrdersHarness, Sale, open_harness
from tests.harness.waiting import becomes

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def a_sale(harness: OrdersHarness, method: str) -> Sale:
    """An order that has to be shipped."""
    if method != "cod":
        return await harness.sold()
    buyer, seller = harness.buyer(), harness.seller()
    product = await harness.product(seller)
    return Sale(buyer, seller, product, (await harness.order(buyer, product, method="cod"))["order_id"])


@pytest.mark.parametrize(("method", "paid"), [("dana", 50_000), ("cod", 0)])
async def test_an_order_that_is_not_shipped(method: str, paid: int, harness: OrdersHarness) -> None:
    """Three days after its payment, or with cash on delivery after it was placed, it is cancelled at its seller's
    fault, with its money and stock back, also if it is packed; a day before, once, its seller is reminded."""
    sale = await a_sale(harness, method)
    order = await sale.seen()
    assert datetime.fromisoformat(order["ship_by"]) - datetime.fromisoformat(order["history"][-1]["at"]) == 3 * DAY
    await harness.later(hours=47)
    await sale.seller.post(f"{sale.path}/pack")
    assert "OrderShipmentDue" not in harness.recorder.names(sale.order_id)
    await harness.later(hours=1, seconds=1)
    due = (await harness.recorder.wait_for(sale.order_id, "OrderShipmentDue"))["data"]
    assert due == {"order_id": sale.order_id, "seller_id": str(sale.seller.account_id), "ship_by": order["ship_by"]}
    await harness.later(hours=23, minutes=59)
    assert (await sale.seen())["status"] == "packed"
    await harness.later(minutes=1)
    event = (await harness.recorder.wait_for(sale.order_id, "OrderCancelled"))["data"]
    assert (event["channel"], event["fault"], event["paid_amount"]) == ("system", "seller", paid)
    order = await sale.seen()
    assert (order["cancellation"]["reason"], order["ship_by"]) == ("not_shipped", None)
    assert await harness.stock(sale.product) == 10
    score = await sale.buyer.get(f"/orders/sellers/{sale.seller.account_id}/score")
    assert (score["orders"], score["cancellations"]["seller"], score["rating"]) == (1, 1, 1.0)
    names = harness.recorder.names(sale.order_id)
    assert (names.count("OrderShipmentDue"), names.count("OrderCancelled")) == (1, 1)


async def test_shipping_and_cancelling_call_it_off(harness: OrdersHarness) -> None:
    """Shipping or cancelling an order ends its time to ship; packing it or cancelling a part does not."""
    shipped, cancelled, parted = await harness.sold("shipped"), await harness.sold(), await harness.sold("unpaid")
    assert (await shipped.seen())["ship_by"] is None
    await cancelled.buyer.post(f"{cancelled.path}/cancel")
    order = await harness.order(parted.buyer, parted.product, quantity=2)
    await parted.buyer.post(f"/orders/{order['order_id']}/pay")
    part = {"lines": [{"product_id": parted.product, "quantity": 1}]}
    await parted.buyer.post(f"/orders/{order['order_id']}/cancel", part, 200, **{"Idempotency-Key": "k"})
    await parted.seller.post(f"/orders/{order['order_id']}/pack")
    ids = [shipped.order_id, cancelled.order_id, order["order_id"]]
    rows = await harness.fetch("select kind, subject from deadlines where subject = any($1)", ids)
    assert [tuple(row) for row in rows] == [("ship_by", order["order_id"])]


@pytest.mark.parametrize(("within", "reminded"), [("86401", True), ("86400", False), ("60", False)])
async def test_the_time_to_ship_is_a_setting(
    within: str, reminded: bool, embedded_databases: Databases, keys: Keys
) -> None:
    """It holds also while the service is down, and by a clock that was moved; only a time longer than a day has a
    reminder."""
    url = await embedded_databases.migrated("orders", SPEC.migrations)
    async with open_harness(url, keys, SHIP_WITHIN=within) as harness:
        sale, other = await harness.sold(), await harness.sold()
        await harness.later(seconds=2)
        await becomes(lambda: count(harness, sale), reminded)
    await harness.service.uow.database.close()
    async with open_harness(url, keys, SHIP_WITHIN=within) as harness:
        await harness.later(seconds=int(within))
        for one in (sale, other):
            await harness.recorder.wait_for(one.order_id, "OrderCancelled")
        assert await count(harness, sale) == 0
    await harness.service.uow.database.close()


async def count(harness: OrdersHarness, sale: Sale) -> int:
    """How many reminders were published."""
    return harness.recorder.names(sale.order_id).count("OrderShipmentDue")


async def test_an_order_without_a_time_gets_one(harness: OrdersHarness) -> None:
    """An order whose payment a replica of an earlier version took is cancelled as well, once a new replica starts."""
    sale = await harness.sold()
    await harness.fetch("delete from deadlines where subject = $1", sale.order_id)
    await harness.fetch("update orders set ship_by = null where order_id = $1", sale.order_id)
    async with harness.service.uow.begin() as tx:
        assert await store.adopt(tx, Terms(HOUR, DAY)) >= 1
    await harness.later(days=1, seconds=1)
    event = await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    assert (event["data"]["channel"], event["data"]["fault"]) == ("system", "seller")
