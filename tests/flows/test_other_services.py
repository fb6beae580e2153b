"""Cancellations that come from services other than orders: the seller's (chat), and customer service's (cs)."""

from uuid import UUID, uuid4

import pytest

from contracts.orders import OrderCancelRequested, RequesterRole
from contracts.words import Channel
from runtime.observability.trace_context import new_id
from tests.harness.actors import Buyer, Seller
from tests.harness.event_recorder import EventRecorder
from tests.harness.publishing import publish_as
from tests.harness.system import SystemUnderTest


def request(order_id: str, channel: Channel, by: UUID | None, role: RequesterRole) -> OrderCancelRequested:
    """A request with a cancellation id of its own."""
    return OrderCancelRequested(
        cancellation_id=new_id(),
        order_id=UUID(order_id),
        channel=channel,
        requested_by=by,
        role=role,
        reason="Stok habis",
    )


async def test_seller_cancels(system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer) -> None:
    """A cancellation by the seller, also after 24 hours, refunds the buyer and lowers the seller's score."""
    seller = await Seller.register(system.http, "seller")
    product = await seller.offer()
    other = Buyer.signed(system.http, system.keys, "buyer")
    await other.place(product)  # not paid, so it does not count
    for _ in range(9):
        await other.buy(product)
    order_id = await buyer.buy(product)
    before = await seller.score()
    assert before.items() >= {"orders": 10, "rating": 5.0, "cancellation_rate": 0.0}.items()
    asked = request(order_id, Channel.CHAT, seller.account_id, RequesterRole.SELLER)
    await publish_as(system.bus("chat"), "chat", asked)
    cancelled = (await recorder.wait_for(order_id, "OrderCancelled"))["data"]
    assert cancelled.items() >= {"channel": "chat", "fault": "seller", "paid_amount": 189_000}.items()
    assert (await buyer.refund(order_id))["amount"] == 189_000
    order = await buyer.order(order_id)
    assert order["cancellation"].items() >= {"channel": "chat", "fault": "seller", "reason": "Stok habis"}.items()
    score = await seller.score()
    assert score["cancellations"] == {"seller": 1, "buyer": 0, "platform": 0}
    assert (score["cancellation_rate"], score["rating"]) == (0.1, 4.0)
    assert before["after_cancelling"] == {"cancellation_rate": 0.1, "rating": 4.0}


async def test_buyer_costs_the_seller_nothing(system: SystemUnderTest, buyer: Buyer) -> None:
    """A cancellation that the buyer asked for does not count against the seller."""
    seller = await Seller.register(system.http, "seller")
    await buyer.cancel(await buyer.buy(await seller.offer()))
    score = await seller.score()
    assert score["cancellations"] == {"seller": 0, "buyer": 1, "platform": 0}
    assert (score["cancellation_rate"], score["rating"]) == (0.0, 5.0)


@pytest.mark.parametrize(("role", "fault"), [(RequesterRole.SYSTEM, "seller"), (RequesterRole.AGENT, "platform")])
async def test_customer_service_cancels(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, product: str, role: RequesterRole, fault: str
) -> None:
    """Customer service cancels for a silent seller, or on its own; the money comes back in both cases."""
    order_id = await buyer.buy(product)
    await publish_as(system.bus("cs"), "cs", request(order_id, Channel.CS, None, role))
    assert (await recorder.wait_for(order_id, "OrderCancelled"))["data"].items() >= {
        "channel": "cs",
        "fault": fault,
    }.items()
    assert (await buyer.refund(order_id))["destination"] == "lazada_credit"


async def test_too_late_for_the_seller_too(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, seller: Seller, product: str
) -> None:
    """A shipped order is not cancelled through any channel (A); the requester gets the reason."""
    order_id = await buyer.buy(product)
    await seller.done(order_id, "pack", "ship")
    asked = request(order_id, Channel.CHAT, seller.account_id, RequesterRole.SELLER)
    await publish_as(system.bus("chat"), "chat", asked)
    rejected = (await recorder.wait_for(order_id, "OrderCancelRejected"))["data"]
    assert (rejected["code"], rejected["cancellation_id"]) == ("already_shipped", str(asked.cancellation_id))
    assert (await buyer.order(order_id))["status"] == "shipped"


@pytest.mark.parametrize("who", ["another seller", "the buyer"])
async def test_not_theirs_to_cancel(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, product: str, who: str
) -> None:
    """A request in the name of an account that has no part in the order is answered as if the order did not exist."""
    order_id = await buyer.buy(product)
    by = buyer.account_id if who == "the buyer" else uuid4()
    await publish_as(system.bus("chat"), "chat", request(order_id, Channel.CHAT, by, RequesterRole.SELLER))
    assert (await recorder.wait_for(order_id, "OrderCancelRejected"))["data"]["code"] == "not_found"
    assert (await buyer.order(order_id))["status"] == "processing"


async def test_unknown_order(system: SystemUnderTest, recorder: EventRecorder) -> None:
    """A request about an order that there is not is answered, too."""
    unknown = str(uuid4())
    await publish_as(system.bus("cs"), "cs", request(unknown, Channel.CS, None, RequesterRole.SYSTEM))
    assert (await recorder.wait_for(unknown, "OrderCancelRejected"))["data"]["code"] == "not_found"


async def test_same_request_twice(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, seller: Seller, product: str
) -> None:
    """The same event again does nothing; the same request in a new event gets the same answer; another is refused."""
    order_id, event_id = await buyer.buy(product), new_id()
    asked = request(order_id, Channel.CHAT, seller.account_id, RequesterRole.SELLER)
    for known in (event_id, event_id, new_id()):
        await publish_as(system.bus("chat"), "chat", asked, event_ids=[known])
    other = request(order_id, Channel.CHAT, seller.account_id, RequesterRole.SELLER)
    await publish_as(system.bus("chat"), "chat", other)
    rejected = (await recorder.wait_for(order_id, "OrderCancelRejected"))["data"]
    assert (rejected["code"], rejected["cancellation_id"]) == ("already_cancelled", str(other.cancellation_id))
    answers = [event["type"] for event in recorder.about(order_id) if event["type"].startswith("OrderCancel")]
    answers = [kind for kind in answers if kind != "OrderCancelRequested"]
    assert answers == ["OrderCancelled", "OrderCancelled", "OrderCancelRejected"]
    await buyer.refund(order_id)
    assert (await system.settled()).broken == []
