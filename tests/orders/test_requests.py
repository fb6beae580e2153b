"""Requests that come from the chat and from customer service, as events."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.orders import OrderCancelRequested, RequesterRole
from contracts.words import Channel
from services.orders import store
from tests.harness.actors import assert_problem
from tests.harness.orders import OrdersHarness, Sale
from tests.harness.publishing import publish_as


@pytest.mark.parametrize("channel", ["chat", "cs"])
@pytest.mark.parametrize("status", ["unpaid", "processing", "packed"])
async def test_a_request_is_granted(channel: str, status: str, harness: OrdersHarness) -> None:
    """The seller, or customer service on a silent seller, has an order cancelled; its buyer sees it."""
    sale = await harness.sold(status)
    request = await harness.request(sale, channel, reason="Stok habis", note="Maaf")
    answer = await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    assert answer["data"]["cancellation_id"] == str(request.cancellation_id)
    assert (answer["data"]["channel"], answer["data"]["fault"]) == (channel, "seller")
    assert answer["data"]["paid_amount"] == (0 if status == "unpaid" else 50_000)
    order = await sale.seen()
    assert (order["status"], order["cancellation"]["channel"]) == ("cancelled", channel)
    assert (order["cancellation"]["reason"], order["cancellation"]["note"]) == ("Stok habis", "Maaf")
    assert await harness.stock(sale.product) == 10


@pytest.mark.parametrize("channel", ["chat", "cs"])
async def test_the_24_hours_do_not_bind_them(channel: str, harness: OrdersHarness) -> None:
    """After 24 hours, when the buyer cannot any more, the seller and customer service still can."""
    sale = await harness.sold("packed")
    await harness.later(hours=30)
    assert_problem(await sale.buyer.ask("POST", f"{sale.path}/cancel"), 409, "window_closed")
    await harness.request(sale, channel)
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")


@pytest.mark.parametrize("status", ["shipped", "delivered"])
async def test_a_shipped_order_is_not_given_up(status: str, harness: OrdersHarness) -> None:
    """A shipped order is not cancelled through any channel."""
    sale = await harness.sold(status)
    await harness.request(sale)
    assert (await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected"))["data"]["code"] == "already_shipped"
    assert (await sale.seen())["status"] == status


async def test_a_cancelled_order_is_not_cancelled_again(harness: OrdersHarness) -> None:
    """A second cancellation, with an id of its own, is refused as already cancelled."""
    sale = await harness.sold()
    first = await sale.buyer.post(f"{sale.path}/cancel")
    request = await harness.request(sale)
    answer = (await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected"))["data"]
    assert (answer["code"], answer["cancellation_id"]) == ("already_cancelled", str(request.cancellation_id))
    assert await sale.seen() == first
    assert await harness.stock(sale.product) == 10


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


@pytest.mark.parametrize(("status", "code"), [("shipped", "already_shipped"), ("cancelled", "already_cancelled")])
async def test_a_refused_request_again_gets_the_same_answer(status: str, code: str, harness: OrdersHarness) -> None:
    """A refusal is repeated, too, and stays one when the order has moved on."""
    sale = await harness.sold("shipped" if status == "shipped" else "processing")
    if status == "cancelled":
        await sale.buyer.post(f"{sale.path}/cancel")
    request = await harness.request(sale)
    first = await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected")
    assert first["data"]["code"] == code
    if status == "shipped":
        await sale.seller.post(f"{sale.path}/deliver")
    await publish_as(harness.recorder.bus, "chat", request)
    again = await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected", 2)
    assert again["data"] == first["data"]
    assert (await sale.seen())["status"] == ("delivered" if status == "shipped" else "cancelled")


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
        ("chat", {"requested_by": uuid4()}),
        ("chat", {"requested_by": None}),
        ("chat", {"role": RequesterRole.BUYER}),
        ("chat", {"role": RequesterRole.SYSTEM}),
        ("chat", {"channel": Channel.APP, "role": RequesterRole.BUYER, "requested_by": "buyer"}),
        ("chat", {"channel": Channel.CS, "role": RequesterRole.SYSTEM}),
        ("cs", {"channel": Channel.CHAT}),
        ("cs", {"channel": Channel.WEB, "role": RequesterRole.BUYER, "requested_by": "buyer"}),
        ("cs", {"channel": Channel.CS, "role": RequesterRole.BUYER, "requested_by": "buyer"}),
    ],
)
async def test_who_is_not_entitled_learns_nothing(
    publisher: str, changes: dict[str, Any], harness: OrdersHarness
) -> None:
    """A request by another account, or for another channel, is answered as if the order did not exist."""
    sale = await harness.sold()
    wanted = {
        "cancellation_id": uuid4(),
        "order_id": UUID(sale.order_id),
        "channel": Channel.CHAT,
        "requested_by": sale.seller.account_id,
        "role": RequesterRole.SELLER,
    } | changes
    if wanted["requested_by"] == "buyer":
        wanted["requested_by"] = sale.buyer.account_id
    await publish_as(harness.recorder.bus, publisher, OrderCancelRequested.model_validate(wanted))
    assert (await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected"))["data"]["code"] == "not_found"
    assert (await sale.seen())["status"] == "processing"


async def test_an_unknown_order_is_answered(harness: OrdersHarness) -> None:
    """Also a request for an order that never was gets its answer."""
    sale = await harness.sold()
    unknown = uuid4()
    await harness.request(sale, order_id=unknown)
    assert (await harness.recorder.wait_for(str(unknown), "OrderCancelRejected"))["data"]["code"] == "not_found"


async def test_the_answer_has_the_correlation_id_of_the_request(harness: OrdersHarness) -> None:
    """The answer is caused by the event that asked, under its correlation."""
    sale, event_id = await harness.sold(), uuid4()
    await publish_as(harness.recorder.bus, "cs", a_request(sale), event_ids=[event_id])
    assert (await harness.recorder.wait_for(sale.order_id, "OrderCancelled"))["causationid"] == str(event_id)


async def test_requests_wait_for_an_order_before_they_take_stock(harness: OrdersHarness) -> None:
    """Two orders of one product, asked for together while a buyer is cancelling one of them: the buyer gets at the
    stock, and is not locked out by the request for the other."""
    buyer, seller = harness.buyer(), harness.seller()
    product = await harness.product(seller)
    free, held = [Sale(buyer, seller, product, (await harness.order(buyer, product))["order_id"]) for _ in range(2)]
    async with harness.service.uow.begin() as tx:
        await store.lock(tx, UUID(held.order_id))
        asked = asyncio.create_task(publish_as(harness.recorder.bus, "cs", *(a_request(sale) for sale in (free, held))))
        await harness.until_blocked()
        await tx.connection.execute("select from products where product_id = $1 for update nowait", UUID(product))
        assert not asked.done()
    await asked
    for sale in (free, held):
        await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    assert await harness.stock(product) == 10


def a_request(sale: Sale) -> OrderCancelRequested:
    """Customer service on a silent seller."""
    return OrderCancelRequested(
        cancellation_id=uuid4(),
        order_id=UUID(sale.order_id),
        channel=Channel.CS,
        requested_by=None,
        role=RequesterRole.SYSTEM,
    )


async def test_all_ways_at_once_are_one_cancellation(harness: OrdersHarness) -> None:
    """Buyer, seller and customer service at the same moment: one is granted, the others get `already_cancelled`."""
    buyer, seller = harness.buyer(), harness.seller()
    sale = await harness.sold()
    ids = await harness.many(30, buyer, seller)

    async def ask(order_id: str) -> None:
        one = type(sale)(buyer, seller, order_id, order_id)
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
