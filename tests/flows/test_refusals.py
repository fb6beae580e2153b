"""Refusals, each without an effect."""

from datetime import timedelta

import pytest

from tests.harness.actors import Buyer, Seller
from tests.harness.event_recorder import EventRecorder
from tests.harness.system import SystemUnderTest


async def test_older_than_a_day(system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, product: str) -> None:
    """24 hours after it was placed an order is not cancelled any more (A), and the refusal is published."""
    order_id = await buyer.buy(product)
    await system.advance(timedelta(hours=24))
    answer = await buyer.cancel(order_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "window_closed")
    order = await buyer.order(order_id)
    assert (order["status"], order["cancellation"]["code"], order["refund"]) == ("processing", "window_closed", None)
    assert (await recorder.wait_for(order_id, "OrderCancelRejected"))["data"]["code"] == "window_closed"


@pytest.mark.parametrize("steps", [("pack", "ship"), ("pack", "ship", "deliver")])
async def test_shipped(buyer: Buyer, seller: Seller, product: str, steps: tuple[str, ...]) -> None:
    """A shipped or delivered order is not cancelled (A)."""
    order_id = await buyer.buy(product)
    await seller.done(order_id, *steps)
    answer = await buyer.cancel(order_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_shipped")
    order = await buyer.order(order_id)
    assert (order["cancellation"]["allowed"], order["refund"]) == (False, None)


@pytest.mark.parametrize("method", ["dana", "bank_transfer", "cod"])
async def test_nothing_paid_nothing_refunded(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, product: str, method: str
) -> None:
    """An unpaid order, and one that would be paid at the door, are cancelled without a refund."""
    order_id = await buyer.place(product, method=method)
    assert (await buyer.cancel(order_id)).status_code == 200
    assert (await recorder.wait_for(order_id, "OrderCancelled"))["data"]["paid_amount"] == 0
    assert (await system.settled()).broken == []
    assert (await buyer.order(order_id))["refund"] is None
