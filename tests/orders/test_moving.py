"""An order moves on: paid by its buyer, packed, shipped and delivered by its seller."""

import asyncio

import pytest

from tests.harness.actors import assert_problem
from tests.harness.orders import STATUSES, STEPS, OrdersHarness


async def test_an_order_moves_from_step_to_step(harness: OrdersHarness) -> None:
    """Each step changes the status, adds to the history, counts the version up, and is published."""
    sale = await harness.sold("delivered")
    order = await sale.seen()
    for person in (sale.seller, harness.actors.person("agent")):
        assert await person.get(sale.path) == order
    assert [step["status"] for step in order["history"]] == list(STATUSES)
    assert (order["status"], order["version"], order["paid_amount"]) == ("delivered", 5, order["total"])
    assert [step["at"] for step in order["history"]] == sorted(step["at"] for step in order["history"])
    await harness.recorder.wait_for(sale.order_id, "OrderDelivered")
    events = harness.recorder.about(sale.order_id)
    names = ["OrderPlaced", "OrderPaid", "OrderPacked", "OrderShipped", "OrderDelivered"]
    assert [(event["type"], event["sequence"]) for event in events] == list(zip(names, range(1, 6), strict=True))
    assert events[1]["data"]["amount"] == order["total"]


async def test_paying_twice_is_harmless(harness: OrdersHarness) -> None:
    """However often it is paid, at once or when it is packed already, it is paid once and answered with 200."""
    sale = await harness.sold("unpaid")
    answers = await asyncio.gather(*(sale.buyer.post(f"{sale.path}/pay") for _ in range(5)))
    assert {(order["paid_amount"], order["version"]) for order in answers} == {(50_000, 2)}
    await sale.seller.post(f"{sale.path}/pack")
    assert (await sale.buyer.post(f"{sale.path}/pay"))["status"] == "packed"
    await harness.recorder.wait_for(sale.order_id, "OrderPacked")
    assert harness.recorder.names(sale.order_id) == ["OrderPlaced", "OrderPaid", "OrderPacked"]


async def test_cash_on_delivery_is_not_paid_online(harness: OrdersHarness) -> None:
    """An order to be paid at the door is in process at once, cannot be paid before, and is cancelled without a
    refund."""
    buyer = harness.buyer()
    order = await harness.order(buyer, await harness.product(), method="cod")
    assert (order["status"], order["paid_amount"]) == ("processing", 0)
    assert_problem(await buyer.ask("POST", f"/orders/{order['order_id']}/pay"), 409, "wrong_state")
    await buyer.post(f"/orders/{order['order_id']}/cancel")
    assert (await harness.recorder.wait_for(order["order_id"], "OrderCancelled"))["data"]["paid_amount"] == 0


@pytest.mark.parametrize("status", STATUSES)
async def test_a_step_out_of_turn_is_refused(status: str, harness: OrdersHarness) -> None:
    """From each status only the next step is possible; a refused one changes nothing."""
    sale = await harness.sold(status)
    before = await sale.seen()
    possible = STEPS[STATUSES.index(status)] if status != "delivered" else None
    for step in {"pack", "ship", "deliver"} - {possible}:
        assert_problem(await sale.seller.ask("POST", f"{sale.path}/{step}"), 409, "wrong_state")
    assert await sale.seen() == before


async def test_two_steps_at_once_are_one(harness: OrdersHarness) -> None:
    """Of ten attempts to pack at the same time one succeeds."""
    sale = await harness.sold("processing")
    answers = await asyncio.gather(*(sale.seller.ask("POST", f"{sale.path}/pack") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert (await sale.seen())["version"] == 3


async def test_foreign_orders_are_not_found(harness: OrdersHarness) -> None:
    """An account that has no part in an order gets exactly the 404 of an order that does not exist."""
    sale, nothing = await harness.sold("processing"), "/orders/00000000-0000-7000-8000-000000000000"
    buyer, seller = harness.buyer(), harness.seller()
    requests = [(buyer, "GET", ""), (seller, "GET", ""), (buyer, "POST", "/pay"), (buyer, "POST", "/cancel")]
    requests += [(seller, "POST", f"/{step}") for step in STEPS[1:]]
    for stranger, method, step in requests:
        foreign, absent = await stranger.ask(method, sale.path + step), await stranger.ask(method, nothing + step)
        assert_problem(foreign, 404, "not_found")
        assert foreign.text == absent.text
    assert_problem(await harness.actors.person("agent").ask("GET", nothing), 404, "not_found")
