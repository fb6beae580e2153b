"""Notifications and webhooks of a real cancellation, through all services."""

import json
from typing import Any

from tests.harness.actors import Buyer, Json, Seller
from tests.harness.system import SystemUnderTest
from tests.harness.waiting import eventually


async def told(person: Buyer | Seller, order_id: str, *kinds: str) -> list[Json]:
    """The person's notifications about an order, once these have come, in any order."""

    async def all_there() -> list[Json] | None:
        items = (await person.get("/notifications", limit=100))["items"]
        found = [one for one in items if one["order_id"] == order_id]
        return found if sorted(one["kind"] for one in found) == sorted(kinds) else None

    return await eventually(all_there)


async def test_buyer_and_seller_are_told(system: SystemUnderTest, buyer: Buyer, seller: Seller, product: str) -> None:
    """The seller is told of the order and of its end, the buyer of its end and of the money; an address inside is
    refused as a webhook."""
    order_id = await buyer.buy(product)
    await told(seller, order_id, "OrderPaid")
    await buyer.cancel(order_id)
    refund: dict[str, Any] = await buyer.refund(order_id)
    arrived = next(
        one for one in await told(buyer, order_id, "OrderCancelled", "RefundIssued") if one["kind"] == "RefundIssued"
    )
    assert arrived["data"].items() >= {name: refund[name] for name in ("refund_id", "amount", "destination")}.items()
    await told(seller, order_id, "OrderPaid", "OrderCancelled")
    answer = await seller.ask("POST", "/notifications/webhooks", {"url": "http://127.1:9/", "kinds": ["OrderPaid"]})
    assert (answer.status_code, json.loads(answer.content)["code"]) == (422, "address_not_allowed")
