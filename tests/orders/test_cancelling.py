"""The buyer cancels, in the app or on the website: at once, once, and only in time."""

import asyncio
from datetime import datetime, timedelta

import pytest

from tests.harness.actors import assert_problem
from tests.harness.orders import OrdersHarness


@pytest.mark.parametrize("client", ["app", "web"])
@pytest.mark.parametrize("status", ["unpaid", "processing", "packed"])
async def test_the_buyer_cancels(client: str, status: str, harness: OrdersHarness) -> None:
    """An order that has not shipped is cancelled at once, by the channel of the token, and the stock comes back."""
    sale = await harness.sold(status, client)
    before = await sale.seen()
    assert before["cancellation"]["allowed"]
    assert await harness.stock(sale.product) == 9
    order = await sale.buyer.post(f"{sale.path}/cancel", {"reason": "changed_mind", "note": "Maaf 🙏"})
    cancellation = order["cancellation"]
    assert order["status"] == order["history"][-1]["status"] == "cancelled"
    assert order["version"] == before["version"] + 1
    assert (cancellation["allowed"], cancellation["code"]) == (False, "already_cancelled")
    assert (cancellation["channel"], cancellation["fault"]) == (client, "buyer")
    assert (cancellation["reason"], cancellation["note"]) == ("changed_mind", "Maaf 🙏")
    assert await harness.stock(sale.product) == 10
    requested = (await harness.recorder.wait_for(sale.order_id, "OrderCancelRequested"))["data"]
    cancelled = (await harness.recorder.wait_for(sale.order_id, "OrderCancelled"))["data"]
    assert requested["cancellation_id"] == cancelled["cancellation_id"] == cancellation["cancellation_id"]
    assert (requested["role"], requested["channel"], requested["reason"]) == ("buyer", client, "changed_mind")
    assert cancelled["paid_amount"] == (0 if status == "unpaid" else 50_000)
    assert await sale.seen() == order


async def test_no_reason_is_needed(harness: OrdersHarness) -> None:
    """The reason may be skipped: no body, an empty object and nulls are all well."""
    for body in (None, {}, {"reason": None, "note": None}):
        sale = await harness.sold()
        order = await sale.buyer.post(f"{sale.path}/cancel", body)
        assert (order["cancellation"]["reason"], order["cancellation"]["note"]) == (None, None)


async def test_cash_on_delivery_is_cancelled_without_a_refund(harness: OrdersHarness) -> None:
    """Cancelling an unpaid order refunds nothing."""
    buyer = harness.buyer()
    order = await harness.order(buyer, await harness.product(harness.seller()), method="cod")
    await buyer.post(f"/orders/{order['order_id']}/cancel")
    assert (await harness.recorder.wait_for(order["order_id"], "OrderCancelled"))["data"]["paid_amount"] == 0


async def test_cancelling_again_is_harmless(harness: OrdersHarness) -> None:
    """A second request with another reason gets the same answer, and no further event is published."""
    sale = await harness.sold()
    first = await sale.buyer.post(f"{sale.path}/cancel", {"reason": "other"})
    assert await sale.buyer.post(f"{sale.path}/cancel", {"reason": "too_slow"}) == first
    await sale.buyer.post(f"{sale.path}/cancel")
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    assert harness.recorder.names(sale.order_id)[-2:] == ["OrderCancelRequested", "OrderCancelled"]
    assert await harness.stock(sale.product) == 10


async def test_fifty_at_once_are_one_cancellation(harness: OrdersHarness) -> None:
    """Fifty requests at the same time get the same body, to the letter; there is one cancellation, the stock is
    given back once."""
    sale = await harness.sold("packed")
    answers = await asyncio.gather(*(sale.buyer.ask("POST", f"{sale.path}/cancel") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["cancellation"]["cancellation_id"]
    assert await harness.stock(sale.product) == 10
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    assert harness.recorder.names(sale.order_id).count("OrderCancelled") == 1


async def test_cancel_and_ship_never_both_win(harness: OrdersHarness) -> None:
    """Of two hundred orders that are cancelled and shipped at the same moment, each is one or the other, the loser is
    told so, and what was cancelled is back in stock."""
    buyer, seller = harness.buyer(), harness.seller()
    ids = await harness.many(200, buyer, seller)

    async def race(number: int, order_id: str) -> tuple[str, int, int]:
        requests = [buyer.ask("POST", f"/orders/{order_id}/cancel"), seller.ask("POST", f"/orders/{order_id}/ship")]
        answers = await asyncio.gather(*(reversed(requests) if number % 2 else requests))
        cancel, ship = reversed(answers) if number % 2 else answers
        if cancel.status_code != 200:
            assert_problem(cancel, 409, "already_shipped")
        if ship.status_code != 200:
            assert_problem(ship, 409, "wrong_state")
        return order_id, cancel.status_code, ship.status_code

    ends = await asyncio.gather(*(race(number, order_id) for number, order_id in enumerate(ids)))
    assert {(cancel, ship) for _, cancel, ship in ends} <= {(200, 409), (409, 200)}
    lost = {order_id for order_id, cancel, _ in ends if cancel == 200}
    rows = await harness.fetch(
        "select order_id::text, status, version, (select count(*) from order_history h where h.order_id = o.order_id) "
        "as steps, (select stock from products where product_id = order_id) as stock, "
        "exists (select from cancellations c where c.order_id = o.order_id) as cancelled from orders o "
        "where buyer_id = $1",
        buyer.account_id,
    )
    assert len(rows) == 200
    for row in rows:
        gone = row["order_id"] in lost
        assert (row["status"], row["stock"], row["cancelled"]) == (
            ("cancelled", 1, True) if gone else ("shipped", 0, False)
        )
        assert row["version"] == row["steps"] == 2


@pytest.mark.parametrize("status", ["shipped", "delivered"])
async def test_a_shipped_order_cannot_be_cancelled(status: str, harness: OrdersHarness) -> None:
    """A shipped order is not cancelled; the order shows that it cannot be, and the refusal is published."""
    sale = await harness.sold(status)
    shown = (await sale.seen())["cancellation"]
    assert (shown["allowed"], shown["code"]) == (False, "already_shipped")
    assert_problem(await sale.buyer.ask("POST", f"{sale.path}/cancel"), 409, "already_shipped")
    rejected = (await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected"))["data"]
    requested = (await harness.recorder.wait_for(sale.order_id, "OrderCancelRequested"))["data"]
    assert rejected["code"] == "already_shipped"
    assert rejected["cancellation_id"] == requested["cancellation_id"]
    assert (await sale.seen())["status"] == status


async def test_the_window_closes_after_24_hours(harness: OrdersHarness) -> None:
    """Shortly before 24 hours have passed an order can be cancelled, shortly after they have it cannot."""
    early, late = await harness.sold(), await harness.sold("packed")
    shown = await early.seen()
    placed, until = (datetime.fromisoformat(text) for text in (shown["placed_at"], shown["cancellation"]["until"]))
    assert until - placed == timedelta(hours=24)
    await harness.later(hours=23, minutes=59)
    assert (await early.buyer.post(f"{early.path}/cancel"))["status"] == "cancelled"
    await harness.later(minutes=1)
    shown = (await late.seen())["cancellation"]
    assert (shown["allowed"], shown["code"]) == (False, "window_closed")
    assert_problem(await late.buyer.ask("POST", f"{late.path}/cancel"), 409, "window_closed")
    assert (await harness.recorder.wait_for(late.order_id, "OrderCancelRejected"))["data"]["code"] == "window_closed"
    assert (await late.seen())["status"] == "packed"
    assert (await early.buyer.post(f"{early.path}/cancel"))["status"] == "cancelled"


async def test_one_correlation_id_for_request_and_answer(harness: OrdersHarness) -> None:
    """A request and its answer are published with one correlation id, which the HTTP answer names."""
    sale = await harness.sold()
    answer = await sale.buyer.ask("POST", f"{sale.path}/cancel")
    cancelled = await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    requested = await harness.recorder.wait_for(sale.order_id, "OrderCancelRequested")
    told = answer.headers["x-correlation-id"]
    assert cancelled["correlationid"] == requested["correlationid"] == told
    assert cancelled["sequence"] == requested["sequence"] + 1


async def test_the_score_counts(harness: OrdersHarness) -> None:
    """The buyer's cancellations stand in the seller's score without hurting it; the seller's own do."""
    sale = await harness.sold()
    path = f"/orders/sellers/{sale.seller.account_id}/score"
    await sale.buyer.post(f"{sale.path}/cancel")
    score = await harness.actors.anonymous().get(path)
    assert score["cancellations"] == {"seller": 0, "buyer": 1, "platform": 0}
    assert (score["orders"], score["cancellation_rate"], score["rating"]) == (1, 0.0, 5.0)
    unpaid = await harness.order(sale.buyer, sale.product)
    await sale.buyer.post(f"/orders/{unpaid['order_id']}/cancel")
    await harness.order(sale.buyer, sale.product)
    assert await harness.actors.anonymous().get(path) == score  # what was not paid counts neither here nor there
    [other] = await harness.many(1, sale.buyer, sale.seller)
    await harness.request(type(sale)(sale.buyer, sale.seller, other, other))
    await harness.recorder.wait_for(other, "OrderCancelled")
    score = await harness.actors.anonymous().get(path)
    assert score["cancellations"] == {"seller": 1, "buyer": 1, "platform": 0}
    assert (score["orders"], score["cancellation_rate"], score["rating"]) == (2, 0.5, 1.0)
