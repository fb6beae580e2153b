"""Requests that come from the chat and from customer service, as events."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.orders import store
from tests.harness.orders import OrdersHarness, Sale, a_request
from tests.harness.publishing import publish_as
from tests.harness.waiting import blocked

BY_BUYER = {"role": "buyer", "requested_by": "buyer"}


@pytest.mark.parametrize("channel", ["chat", "cs"])
@pytest.mark.parametrize(("status", "hours"), [("unpaid", 0), ("processing", 23), ("packed", 30)])
async def test_a_request_is_granted(channel: str, status: str, hours: int, harness: OrdersHarness) -> None:
    """The seller, or customer service on a silent seller, has an order cancelled, also after the 24 hours in which the
    buyer can; its buyer sees it, and the answer names the event that asked as its cause."""
    sale, event_id = await harness.sold(status), uuid4()
    await harness.later(hours=hours)
    request = a_request(sale, channel, reason="Stok habis", note="Maaf")
    await publish_as(harness.recorder.bus, channel, request, event_ids=[event_id])
    event = await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    answer, paid = event["data"], 0 if status == "unpaid" else 50_000
    assert (answer["cancellation_id"], event["causationid"]) == (str(request.cancellation_id), str(event_id))
    assert (answer["channel"], answer["fault"], answer["paid_amount"]) == (channel, "seller", paid)
    order = await sale.seen()
    assert (order["status"], order["cancellation"]["channel"]) == ("cancelled", channel)
    assert (order["cancellation"]["reason"], order["cancellation"]["note"]) == ("Stok habis", "Maaf")
    assert await harness.stock(sale.product) == 10


async def test_an_order_that_is_paid_in_a_new_way_is_shown_and_cancelled(harness: OrdersHarness) -> None:
    """While orders is rolled out, an older replica meets payment methods that it does not know."""
    sale = await harness.sold()
    await harness.fetch("update orders set payment_method = 'gopay' where order_id = $1", UUID(sale.order_id))
    assert (await sale.seen())["payment_method"] == "gopay"
    await harness.request(sale)
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")


@pytest.mark.parametrize(
    "changes", [{}, {"channel": "cs", "role": "system", "requested_by": None}, {"channel": "kiosk"}]
)
async def test_a_granted_request_again_gets_the_same_answer(changes: dict[str, Any], harness: OrdersHarness) -> None:
    """A repeated request, through any channel, is answered again; order, stock and money do not change."""
    sale = await harness.sold()
    request = await harness.request(sale)
    first = await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    order = await sale.seen()
    for times in (2, 3):
        for publisher in ("chat", "cs")[: times - 1]:
            await publish_as(harness.recorder.bus, publisher, request.model_copy(update=changes))
        again = await harness.recorder.wait_for(sale.order_id, "OrderCancelled", times)
        assert again["data"] == first["data"]
        assert again["id"] != first["id"]
    assert await sale.seen() == order
    assert await harness.stock(sale.product) == 10
    assert set(harness.recorder.names(sale.order_id)[2:]) == {"OrderCancelled"}


@pytest.mark.parametrize("status", ["shipped", "cancelled"])
async def test_a_refused_request_again_gets_the_same_answer(status: str, harness: OrdersHarness) -> None:
    """A shipped order is not cancelled, nor is a cancelled one again; the refusal is repeated, and stays one when the
    order has moved on."""
    sale = await harness.sold("shipped" if status == "shipped" else "processing")
    if status == "cancelled":
        await sale.buyer.post(f"{sale.path}/cancel")
    request = await harness.request(sale)
    first = await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected")
    answer = {"cancellation_id": str(request.cancellation_id), "code": f"already_{status}"}
    assert first["data"].items() >= answer.items()
    if status == "shipped":
        await sale.seller.post(f"{sale.path}/deliver")
    before = await sale.seen()
    await publish_as(harness.recorder.bus, "chat", request)
    again = await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected", 2)
    assert again["data"] == first["data"]
    assert await sale.seen() == before
    assert await harness.stock(sale.product) == (9 if status == "shipped" else 10)


async def test_a_cancellation_is_of_one_order(harness: OrdersHarness) -> None:
    """The id under which an order was cancelled cancels no other one."""
    sale, other = await harness.sold(), await harness.sold()
    request = await harness.request(sale)
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    await harness.request(other, cancellation_id=request.cancellation_id)
    assert (await harness.recorder.wait_for(other.order_id, "OrderCancelRejected"))["data"]["code"] == "not_found"
    assert (await other.seen())["status"] == "processing"


@pytest.mark.parametrize(
    ("publisher", "changes"),
    [
        *(("chat", {"requested_by": who}) for who in (uuid4(), None)),
        *(("chat", {"role": role}) for role in ("buyer", "system")),
        *(("chat", {"channel": channel, **BY_BUYER}) for channel in ("app", "web")),
        *(("cs", {"channel": channel, **BY_BUYER}) for channel in ("app", "web", "cs")),
        ("chat", {"channel": "cs", "role": "system"}),
        ("cs", {"channel": "chat", "role": "seller"}),
        ("chat", {"order_id": uuid4()}),
    ],
)
async def test_a_request_without_a_right_to_the_order_is_not_found(
    publisher: str, changes: dict[str, Any], harness: OrdersHarness
) -> None:
    """A request by another account, or for another channel, is answered as if the order did not exist; and so is one
    about an order that does not."""
    sale = await harness.sold()
    wanted = {"requested_by": sale.seller.account_id} | changes
    if wanted["requested_by"] == "buyer":
        wanted["requested_by"] = sale.buyer.account_id
    request = a_request(sale, publisher, **wanted)
    await publish_as(harness.recorder.bus, publisher, request)
    answer = await harness.recorder.wait_for(str(request.order_id), "OrderCancelRejected")
    assert answer["data"]["code"] == "not_found"
    assert (await sale.seen())["status"] == "processing"


async def test_requests_wait_for_an_order_before_they_take_stock(harness: OrdersHarness) -> None:
    """Two orders of one product, asked for together while a buyer is cancelling one of them: the buyer gets at the
    stock, and is not locked out by the request for the other."""
    buyer, seller = harness.buyer(), harness.seller()
    product = await harness.product(seller)
    free, held = [Sale(buyer, seller, product, (await harness.order(buyer, product))["order_id"]) for _ in range(2)]
    async with harness.service.uow.begin() as tx:
        await store.lock(tx, UUID(held.order_id))
        asked = asyncio.create_task(
            publish_as(harness.recorder.bus, "cs", *(a_request(sale, "cs") for sale in (free, held)))
        )
        await blocked(harness.fetch)
        await tx.connection.execute("select from products where product_id = $1 for update nowait", UUID(product))
        assert not asked.done()
    await asked
    for sale in (free, held):
        await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    assert await harness.stock(product) == 10


async def test_all_ways_at_once_are_one_cancellation(harness: OrdersHarness) -> None:
    """Buyer, seller and customer service at the same moment: one is granted, the others get `already_cancelled`."""
    buyer, seller = harness.buyer(), harness.seller()
    ids = await harness.many(10, buyer, seller)

    async def ask(order_id: str) -> None:
        one = Sale(buyer, seller, order_id, order_id)
        answer, *asked = await asyncio.gather(
            buyer.ask("POST", f"{one.path}/cancel"), harness.request(one), harness.request(one, "cs")
        )
        assert answer.status_code == 200
        granted = answer.json()["cancellation"]["cancellation_id"]
        wanted = {granted, *(str(request.cancellation_id) for request in asked)}

        def answered() -> set[str]:
            answers = {"OrderCancelled", "OrderCancelRejected"}
            events = harness.recorder.about(order_id)
            return {event["data"]["cancellation_id"] for event in events if event["type"] in answers}

        await harness.recorder.until(lambda: wanted <= answered())
        assert harness.recorder.names(order_id).count("OrderCancelled") == 1

    await asyncio.gather(*map(ask, ids))
    rows = await harness.fetch("select stock from products where seller_id = $1", seller.account_id)
    assert {row["stock"] for row in rows} == {1}
