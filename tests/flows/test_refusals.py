"""Refusals, each without an effect."""

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.harness.actors import Buyer, Person, Seller
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


async def test_younger_than_a_day(system: SystemUnderTest, buyer: Buyer, product: str) -> None:
    """A minute before the 24 hours are over it still is."""
    order_id = await buyer.buy(product)
    await system.advance(timedelta(hours=23, minutes=59))
    assert (await buyer.cancel(order_id)).status_code == 200


@pytest.mark.parametrize("steps", [("pack", "ship"), ("pack", "ship", "deliver")])
async def test_shipped(buyer: Buyer, seller: Seller, product: str, steps: tuple[str, ...]) -> None:
    """A shipped or delivered order is not cancelled (A)."""
    order_id = await buyer.buy(product)
    await seller.done(order_id, *steps)
    answer = await buyer.cancel(order_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_shipped")
    assert (await buyer.order(order_id))["cancellation"]["allowed"] is False


async def test_packed_is_not_shipped(buyer: Buyer, seller: Seller, product: str) -> None:
    """A packed order can be cancelled (A), and then not be shipped any more."""
    order_id = await buyer.buy(product)
    await seller.done(order_id, "pack")
    assert (await buyer.cancel(order_id)).status_code == 200
    shipped = await seller.move(order_id, "ship")
    assert (shipped.status_code, shipped.json()["code"]) == (409, "wrong_state")


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


@pytest.mark.parametrize("method", ["dana", "cod"])
async def test_paying_what_is_cancelled(buyer: Buyer, product: str, method: str) -> None:
    """A cancelled order takes no money."""
    order_id = await buyer.place(product, method=method)
    await buyer.cancel(order_id)
    answer = await buyer.move(order_id, "pay")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")


async def test_orders_of_others_do_not_exist(stranger: Buyer, buyer: Buyer, product: str) -> None:
    """For every action, an order of another account answers exactly like one that does not exist."""
    order_id = await buyer.buy(product)
    for method, path in [("GET", ""), ("POST", "/cancel"), ("POST", "/pay")]:
        foreign = await stranger.ask(method, f"/orders/{order_id}{path}")
        unknown = await stranger.ask(method, f"/orders/{uuid4()}{path}")
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json() == unknown.json()
    assert (await buyer.order(order_id))["status"] == "processing"


async def test_refunds_of_others_do_not_exist(stranger: Buyer, buyer: Buyer, product: str) -> None:
    """A refund of another account answers like one that does not exist, and only its buyer's list contains it."""
    order_id = await buyer.buy(product)
    await buyer.cancel(order_id)
    refund_id = (await buyer.refund(order_id))["refund_id"]
    answer = await stranger.ask("GET", f"/refunds/{refund_id}")
    assert answer.status_code == 404
    assert answer.json() == (await stranger.ask("GET", f"/refunds/{uuid4()}")).json()
    assert refund_id not in {refund["refund_id"] for refund in (await stranger.get("/refunds"))["items"]}


async def test_other_sellers_cannot_move_it(system: SystemUnderTest, buyer: Buyer, product: str) -> None:
    """Only the order's own seller packs it."""
    order_id = await buyer.buy(product)
    other = await Seller.register(system.http, "seller")
    assert (await other.move(order_id, "pack")).status_code == 404


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        ("seller", "POST", "/orders/{order}/cancel"),
        ("agent", "POST", "/orders/{order}/cancel"),
        ("seller", "POST", "/orders/{order}/pay"),
        ("buyer", "POST", "/orders/{order}/pack"),
        ("buyer", "POST", "/orders/{order}/ship"),
        ("agent", "POST", "/orders/{order}/deliver"),
        ("agent", "GET", "/orders"),
        ("seller", "GET", "/refunds"),
        ("seller", "GET", "/refunds/wallet"),
        ("agent", "DELETE", "/refunds/wallet/dana"),
    ],
)
async def test_wrong_role(
    buyer: Buyer, seller: Seller, agent: Person, product: str, role: str, method: str, path: str
) -> None:
    """An action that a role may not take is refused with `wrong_role`, before the order is read."""
    person = {"buyer": buyer, "seller": seller, "agent": agent}[role]
    order_id = await buyer.place(product)
    answer = await person.ask(method, path.format(order=order_id))
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_role")
    assert (await buyer.order(order_id))["status"] == "unpaid"
    await buyer.cancel(order_id)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/orders"),
        ("GET", "/orders"),
        ("POST", "/orders/0190d3a0-0000-7000-8000-00000000abcd/cancel"),
        ("GET", "/refunds/wallet"),
    ],
)
async def test_without_a_valid_token(system: SystemUnderTest, method: str, path: str) -> None:
    """Without a token, or with one of an unknown signer, every read is refused."""
    for headers in ({}, {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}):
        answer = await system.http.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_agents_do_not_register(system: SystemUnderTest) -> None:
    """Registration cannot create an agent."""
    body = {"email": "x@example.com", "password": "rahasia-sekali", "name": "X", "role": "agent"}
    assert (await system.http.post("/accounts", json=body)).status_code == 422
