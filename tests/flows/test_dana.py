"""DANA as it can be: late, away, broken, or no longer the buyer's."""

from datetime import timedelta
from typing import Any

import pytest

from tests.harness.actors import Buyer
from tests.harness.event_recorder import EventRecorder
from tests.harness.system import SystemUnderTest
from tests.harness.waiting import eventually

LATER = timedelta(minutes=1)
"""At least as long as any pause between two tries, and shorter than a payment can stay in doubt."""


async def fault(system: SystemUnderTest, mode: str, **more: Any) -> None:
    """Has DANA fail this way from now on."""
    (await system.dana.put("/faults", json={"mode": mode, **more})).raise_for_status()


def reference(refund: dict[str, Any]) -> str:
    """The one under which DANA knows this refund."""
    return str(refund["refund_id"]).replace("-", "")


async def answers(system: SystemUnderTest, refund: dict[str, Any]) -> list[str]:
    """The codes with which DANA answered the payments of this refund, oldest first."""
    items = (await system.dana.get("/requests", params={"limit": 1000})).json()["items"]
    of_refund = [item for item in items if item["reference"] == reference(refund)]
    return [item["code"] for item in reversed(of_refund) if item["service"] == "38"]


async def paid(system: SystemUnderTest, refund: dict[str, Any]) -> list[int]:
    """What DANA paid for this refund."""
    return [one["amount"] for one in await system.dana_payments() if one["reference"] == reference(refund)]


async def issued(system: SystemUnderTest, buyer: Buyer, order_id: str) -> dict[str, Any]:
    """The order's refund, once it has arrived; time is moved on until it has."""

    async def look() -> dict[str, Any] | None:
        refund: dict[str, Any] | None = (await buyer.order(order_id))["refund"]
        if refund and refund["state"] == "issued":
            return refund
        await system.advance(LATER)
        return None

    return await eventually(look, 60)


async def cancelled(buyer: Buyer, product: str) -> str:
    """A paid order that its buyer has cancelled."""
    order_id = await buyer.buy(product)
    await buyer.cancel(order_id)
    return order_id


@pytest.mark.parametrize("mode", ["timeout_after", "drop_after", "timeout_before"])
async def test_not_answered(system: SystemUnderTest, dana_buyer: Buyer, product: str, mode: str) -> None:
    """When DANA does not answer, whether it paid or not, refunds queries it, and the money is paid once, under one
    reference."""
    await fault(system, mode, times=1, seconds=5)
    order_id = await cancelled(dana_buyer, product)
    late = await dana_buyer.refund(order_id, "sending")
    refund = await issued(system, dana_buyer, order_id)
    assert refund.items() >= {"refund_id": late["refund_id"], "destination": "dana", "amount": 189_000}.items()
    assert await paid(system, refund) == [189_000]
    if mode != "timeout_before":
        assert await answers(system, refund) == ["2003800"]


async def test_away_and_back(system: SystemUnderTest, recorder: EventRecorder, dana_buyer: Buyer, product: str) -> None:
    """While DANA is down the order shows that the money is late; when it is back the money arrives automatically."""
    await fault(system, "down")
    order_id = await cancelled(dana_buyer, product)
    delayed = (await recorder.wait_for(order_id, "RefundDelayed"))["data"]
    assert delayed.items() >= {"attempts": 1, "destination": "dana"}.items()
    assert (await dana_buyer.refund(order_id, "sending"))["amount"] == 189_000
    await system.dana.post("/reset")
    refund = await issued(system, dana_buyer, order_id)
    assert (refund["destination"], await paid(system, refund)) == ("dana", [189_000])


async def test_refused_to_the_last(system: SystemUnderTest, dana_buyer: Buyer, product: str) -> None:
    """A payment that DANA refuses six times goes to Lazada Credit, and the refund shows it."""
    credit = await dana_buyer.credit()
    await fault(system, "throttle")
    refund = await issued(system, dana_buyer, await cancelled(dana_buyer, product))
    assert (refund["destination"], await paid(system, refund)) == ("lazada_credit", [])
    assert (await dana_buyer.get(f"/refunds/{refund['refund_id']}"))["attempts"] == 6
    assert await dana_buyer.credit() == credit + 189_000


async def test_closed_wallet(system: SystemUnderTest, dana_buyer: Buyer, product: str) -> None:
    """A wallet that cannot receive money any more is not tried again: the money goes to Lazada Credit."""
    await system.dana.post("/accounts", json={"phone": "6281234567890", "state": "frozen"})
    refund = await dana_buyer.refund(await cancelled(dana_buyer, product))
    assert (refund["destination"], await paid(system, refund)) == ("lazada_credit", [])


@pytest.mark.parametrize(
    ("mode", "destination", "payments"), [("throttle", "lazada_credit", []), ("timeout_after", "dana", [189_000])]
)
async def test_unlinked_meanwhile(
    system: SystemUnderTest, dana_buyer: Buyer, product: str, mode: str, destination: str, payments: list[int]
) -> None:
    """After the wallet is unlinked, a refund that DANA refused goes to Lazada Credit; a payment that DANA made without
    an answer stays DANA's, and is not paid twice."""
    credit = await dana_buyer.credit()
    await fault(system, mode, times=1, seconds=5)
    order_id = await cancelled(dana_buyer, product)
    await dana_buyer.refund(order_id, "sending")
    await dana_buyer.unlink_dana()
    refund = await issued(system, dana_buyer, order_id)
    assert (refund["destination"], await paid(system, refund)) == (destination, payments)
    assert await dana_buyer.credit() == credit + 189_000 - sum(payments)


async def test_unlinked_before(dana_buyer: Buyer, product: str) -> None:
    """A cancellation after the wallet was unlinked is credited."""
    await dana_buyer.unlink_dana()
    refund = await dana_buyer.refund(await cancelled(dana_buyer, product))
    assert refund["destination"] == "lazada_credit"


async def test_pending_at_dana(system: SystemUnderTest, dana_buyer: Buyer, product: str) -> None:
    """A payment that DANA is still at work on is waited for, and not sent again."""
    await fault(system, "pending", times=1)
    order_id = await cancelled(dana_buyer, product)
    await dana_buyer.refund(order_id, "sending")
    await system.advance(LATER)
    await system.dana.post("/settle", json={"state": "paid"})
    refund = await issued(system, dana_buyer, order_id)
    assert (refund["destination"], await paid(system, refund)) == ("dana", [189_000])
    assert await answers(system, refund) == ["2023800"]


async def test_the_ledger_is_balanced(system: SystemUnderTest) -> None:
    """After all tests the ledger sums to zero, and DANA has paid each reference once."""
    snapshot = await system.settled()
    assert (snapshot.broken, snapshot.ledger_sum) == ([], 0)
