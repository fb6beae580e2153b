"""Asking twice, at once or one after the other: one order, one cancellation, one refund."""

from contracts.orders import OrderCancelRequested
from runtime.observability.trace_context import new_id
from tests.harness.actors import Buyer, Seller
from tests.harness.event_recorder import EventRecorder
from tests.harness.publishing import publish_as
from tests.harness.system import SystemUnderTest, gathered


async def test_cancelled_twice(buyer: Buyer, product: str) -> None:
    """The second request gets the answer of the first, and no money."""
    order_id, credit = await buyer.buy(product), await buyer.credit()
    first = (await buyer.cancel(order_id, reason="wrong_address")).json()
    await buyer.refund(order_id)
    again = await (await buyer.on_the_website()).cancel(order_id, reason="other", note="lagi")
    assert again.status_code == 200
    assert again.json()["cancellation"] == first["cancellation"]
    assert again.json()["version"] == first["version"]
    assert await buyer.credit() == credit + 189_000


async def test_requested_twice(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, seller: Seller, product: str
) -> None:
    """A redelivered request has no further effect; the same request in a new event gets the same answer; another
    request is refused."""
    order_id, event_id = await buyer.buy(product), new_id()
    by_seller = {
        "order_id": order_id, "channel": "chat", "requested_by": seller.account_id, "role": "seller", "reason": "Habis"
    }  # fmt: skip
    asked, other = [OrderCancelRequested(cancellation_id=new_id(), **by_seller) for _ in range(2)]
    for known in (event_id, event_id, new_id()):
        await publish_as(system.bus("chat"), "chat", asked, event_ids=[known])
    await publish_as(system.bus("chat"), "chat", other)
    rejected = (await recorder.wait_for(order_id, "OrderCancelRejected"))["data"]
    assert (rejected["code"], rejected["cancellation_id"]) == ("already_cancelled", str(other.cancellation_id))
    answers = [name for name in recorder.names(order_id) if name in ("OrderCancelled", "OrderCancelRejected")]
    assert answers == ["OrderCancelled", "OrderCancelled", "OrderCancelRejected"]
    await buyer.refund(order_id)
    assert (await system.settled()).broken == []


async def test_many_cancels_of_many_orders(
    system: SystemUnderTest, buyer: Buyer, dana_buyer: Buyer, seller: Seller
) -> None:
    """Of many requests at once for each of many orders, each order has one cancellation, one refund, one stock."""
    orders, times = (30, 50) if system.full else (10, 15)
    product = await seller.offer(stock=orders)
    buyers = [(buyer, dana_buyer)[number % 2] for number in range(orders)]
    ids = await gathered([person.buy(product) for person in buyers], 8)
    before = await system.settled()
    calls = [person.cancel(order) for person, order in zip(buyers, ids, strict=True) for _ in range(times)]
    answers = await gathered(calls, 50)
    cancellations: dict[str, set[str]] = {}
    for answer in answers:
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            order = answer.json()
            cancellations.setdefault(order["order_id"], set()).add(order["cancellation"]["cancellation_id"])
    assert cancellations.keys() == set(ids)
    assert [len(one) for one in cancellations.values()] == [1] * orders
    offered = await buyer.get("/orders/products", seller_id=str(seller.account_id), limit=100)
    assert {one["product_id"]: one["stock"] for one in offered["items"]}[product] == orders
    after = await system.settled(60)
    assert (after.broken, after.ledger_sum) == ([], 0)
    assert after.refunds - before.refunds == orders
    assert after.refunded - before.refunded == orders * 189_000


async def test_cancel_against_ship(system: SystemUnderTest, seller: Seller, product: str) -> None:
    """When buyer and seller are at it in the same moment one wins, and there is a refund only if it is the buyer."""
    races = 150 if system.full else 40
    buyers = [Buyer.signed(system.http, system.keys, "buyer") for _ in range(12)]

    async def race(buyer: Buyer) -> str:
        order_id = await buyer.buy(product)
        await seller.done(order_id, "pack")
        cancelled, shipped = await gathered([buyer.cancel(order_id), seller.move(order_id, "ship")], 2)
        assert {cancelled.status_code, shipped.status_code} == {200, 409}
        assert (await buyer.order(order_id))["status"] == ("cancelled" if cancelled.is_success else "shipped")
        return str(cancelled.json().get("code", "cancelled") if cancelled.is_error else "cancelled")

    before = await system.settled()
    outcomes = await gathered([race(buyers[number % 12]) for number in range(races)], 12)
    assert set(outcomes) == {"cancelled", "already_shipped"}
    after = await system.settled(60)
    assert (after.broken, after.ledger_sum) == ([], 0)
    assert after.refunds - before.refunds == outcomes.count("cancelled")
