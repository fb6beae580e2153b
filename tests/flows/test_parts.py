"""Parts of an order: which pieces go, which money comes back, and what the rest becomes."""

from datetime import timedelta
from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest

from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import codes, contacted, system_message, thread_of
from tests.harness.system import SystemUnderTest
from tests.harness.waiting import eventually

DESTINATIONS = ["lazada_credit", "dana"]


@pytest.fixture(params=DESTINATIONS)
async def payee(system: SystemUnderTest, request: pytest.FixtureRequest) -> Buyer:
    """A new buyer, whose money comes back to Lazada Credit, and then one whose money comes back to DANA."""
    await system.dana.post("/reset")
    buyer = Buyer.signed(system.http, system.keys, "buyer")
    if request.param == "dana":
        await buyer.link_dana()
    return buyer


async def bought(buyer: Buyer, seller: Seller) -> dict[str, Any]:
    """A paid order of three pieces of one product and two of another, with a discount that no piece gets evenly."""
    products = [await seller.offer(price, stock=10) for price in (63_001, 20_003)]
    code = token_hex(4)
    await seller.send("/orders/vouchers", code=code, amount=10_007, minimum=20_000, uses=5)
    lines = [{"product_id": one, "quantity": quantity} for one, quantity in zip(products, (3, 2), strict=True)]
    order = await buyer.send("/orders", lines=lines, payment_method="bank_transfer", voucher=code)
    (await buyer.move(order["order_id"], "pay")).raise_for_status()
    return dict(await buyer.order(order["order_id"]))


async def refunded(system: SystemUnderTest, buyer: Buyer, order_id: str, count: int) -> list[int]:
    """The amounts of the order's refunds, as its cancellations follow, once so many have arrived where they belong."""

    async def arrived() -> dict[str, Any] | None:
        order: dict[str, Any] = await buyer.order(order_id)
        issued = [refund for refund in order["refunds"] if refund["state"] == "issued"]
        return order if len(issued) == count else None

    order = await eventually(arrived)
    refunds = {refund["cancellation_id"]: refund for refund in order["refunds"]}
    inline = [refunds[one["cancellation_id"]] for one in order["cancellations"] if one["refund_amount"]]
    amounts = [int(refund["amount"]) for refund in inline]
    assert amounts == [one["refund_amount"] for one in order["cancellations"] if one["refund_amount"]]
    assert order["refunded_amount"] == sum(amounts)
    if (await buyer.get("/refunds/wallet"))["dana"]["linked"]:
        paid = {one["reference"]: one["amount"] for one in await system.dana_payments()}
        assert [paid[UUID(refund["refund_id"]).hex] for refund in inline] == amounts
        assert await buyer.credit() == 0
    else:
        assert await buyer.credit() == sum(amounts)
    return amounts


def pieces(order: dict[str, Any], line: int, quantity: int) -> dict[str, Any]:
    """The body of a request to cancel so many pieces of a line."""
    return {"lines": [{"product_id": order["lines"][line]["product_id"], "quantity": quantity}]}


@pytest.mark.parametrize("way", ["app", "web", "chat"])
async def test_a_part(system: SystemUnderTest, payee: Buyer, seller: Seller, way: str) -> None:
    """Through the app, the website and the chat a part of the money comes back, and the rest of the order is shipped;
    the thread names the pieces."""
    order = await bought(payee, seller)
    order_id, line = order["order_id"], order["lines"][0]
    path = f"/chat/threads/{await thread_of(payee, order_id)}"
    if way == "chat":
        answer = await seller.ask("POST", f"{path}/cancel", pieces(order, 0, 2), token_hex(8))
        assert answer.status_code == 202, answer.text
    else:
        person = Buyer.signed(system.http, system.keys, "buyer", account_id=payee.account_id, client=way)
        (await person.cancel_pieces(order_id, line["product_id"], 2)).raise_for_status()
    said = (await system_message(payee, path, "items_cancelled"))["data"]
    assert said["lines"] == [{"product_id": line["product_id"], "title": line["title"], "quantity": 2}]
    assert said["fault"] == ("seller" if way == "chat" else "buyer")
    [amount] = await refunded(system, payee, order_id, 1)
    assert amount == said["refund_amount"]
    assert amount < 2 * line["unit_price"]
    await system_message(payee, path, "refund_issued")
    assert await codes(payee, path) == ["items_cancelled", "refund_issued"]
    now = await payee.order(order_id)
    assert (now["status"], now["total"], now["paid_amount"]) == ("processing", order["total"], order["total"])
    assert [one["cancelled"] for one in now["lines"]] == [2, 0]
    assert [one["channel"] for one in now["cancellations"]] == [way]
    await seller.done(order_id, "pack", "ship")
    assert (await system.settled()).broken == []


async def test_two_parts_and_then_the_rest(system: SystemUnderTest, payee: Buyer, seller: Seller) -> None:
    """Two parts, one asked for twice under its key, and the rest: each has its refund, and together they are what was
    paid. The thread tells all three."""
    order = await bought(payee, seller)
    order_id = order["order_id"]
    path = f"/chat/threads/{await thread_of(payee, order_id)}"
    first, second = (one["product_id"] for one in order["lines"])
    for _ in range(2):
        (await payee.cancel_pieces(order_id, first, 2, key=f"one-{order_id}")).raise_for_status()
    (await payee.cancel_pieces(order_id, second, 1)).raise_for_status()
    ended = (await payee.cancel(order_id)).raise_for_status().json()
    assert (ended["status"], len(ended["cancellations"])) == ("cancelled", 3)
    amounts = await refunded(system, payee, order_id, 3)
    assert sum(amounts) == order["total"]
    assert amounts[2] > 0

    async def told() -> list[str] | None:
        said = sorted(await codes(payee, path))
        return said if said.count("refund_issued") == 3 else None

    assert await eventually(told) == ["items_cancelled"] * 2 + ["order_cancelled"] + ["refund_issued"] * 3
    refund = await payee.refund(order_id)
    assert (refund["amount"], ended["cancellation"]["channel"]) == (amounts[2], "app")
    assert (await system.settled()).broken == []


async def test_a_part_and_then_a_silent_seller(
    system: SystemUnderTest, payee: Buyer, agent: Agent, seller: Seller
) -> None:
    """A part that the buyer cancels does not end the seller's 24 hours: after them what is left is cancelled."""
    order = await bought(payee, seller)
    order_id = order["order_id"]
    await agent.duty()
    case = await contacted(payee, [agent], seller, order_id)
    path = f"/cs/cases/{case.case_id}"
    (await payee.cancel_pieces(order_id, order["lines"][0]["product_id"])).raise_for_status()
    await system_message(payee, path, "items_cancelled")
    assert (await case.now())["state"] == "awaiting_seller"
    await system.advance(timedelta(hours=24))
    assert (await case.becomes("resolved"))["outcome"] == "order_cancelled"
    assert sum(await refunded(system, payee, order_id, 2)) == order["total"]
    ended = (await payee.order(order_id))["cancellation"]
    assert (ended["channel"], ended["fault"]) == ("cs", "seller")

    async def told() -> list[str] | None:
        said = await codes(payee, path)
        return said if said.count("refund_issued") == 2 else None

    said = await eventually(told)
    assert [said.count(code) for code in ("items_cancelled", "order_cancelled")] == [1, 1]
    await agent.duty(False)
    assert (await system.settled()).broken == []
