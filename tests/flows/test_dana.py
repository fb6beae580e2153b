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


async def calls(system: SystemUnderTest, reference: str) -> list[str]:
    """What DANA answered to the payments under this reference, oldest first."""
    items = (await system.dana.get("/requests", params={"limit": 1000})).json()["items"]
    return [item["code"] for item in reversed(items) if item["reference"] == reference and item["service"] == "38"]


async def paid(system: SystemUnderTest, refund: dict[str, Any]) -> list[int]:
    """What DANA paid for this refund."""
    reference = refund["refund_id"].replace("-", "")
    return [payment["amount"] for payment in await system.dana_payments() if payment["reference"] == reference]


async def issued(system: SystemUnderTest, buyer: Buyer, order_id: str, step: timedelta = LATER) -> dict[str, Any]:
    """The order's refund, once it has arrived; time is moved on until it has."""

    async def look() -> dict[str, Any] | None:
        refund: dict[str, Any] | None = (await buyer.order(order_id))["refund"]
        if refund and refund["state"] == "issued":
            return refund
        await system.advance(step)
        return None

    return await eventually(look, 60)


@pytest.mark.parametrize("mode", ["timeout_after", "drop_after"])
async def test_paid_and_not_answered(system: SystemUnderTest, dana_buyer: Buyer, product: str, mode: str) -> None:
    """DANA pays and does not answer: refunds queries it, and the money is paid once."""
    await fault(system, mode, times=1, seconds=5)
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    late = await dana_buyer.refund(order_id, "sending")
    refund = await issued(system, dana_buyer, order_id)
    assert refund.items() >= {"refund_id": late["refund_id"], "destination": "dana", "amount": 189_000}.items()
    assert await paid(system, refund) == [189_000]
    assert await calls(system, refund["refund_id"].replace("-", "")) == ["2003800"]


async def test_not_paid_and_not_answered(system: SystemUnderTest, dana_buyer: Buyer, product: str) -> None:
    """DANA neither answers nor pays: the same payment is sent again, under the same reference, and paid once."""
    await fault(system, "timeout_before", times=1, seconds=5)
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    refund = await issued(system, dana_buyer, order_id)
    assert (refund["destination"], await paid(system, refund)) == ("dana", [189_000])


async def test_away_and_back(system: SystemUnderTest, recorder: EventRecorder, dana_buyer: Buyer, product: str) -> None:
    """While DANA is down the order shows that the money is late; when it is back the money arrives automatically."""
    await fault(system, "down")
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    delayed = (await recorder.wait_for(order_id, "RefundDelayed"))["data"]
    assert delayed.items() >= {"attempts": 1, "destination": "dana"}.items()
    assert (await dana_buyer.refund(order_id, "sending"))["amount"] == 189_000
    await system.dana.post("/reset")
    refund = await issued(system, dana_buyer, order_id)
    assert (refund["destination"], await paid(system, refund)) == ("dana", [189_000])


async def test_turned_away_to_the_last(system: SystemUnderTest, dana_buyer: Buyer, product: str) -> None:
    """A payment that DANA refuses six times goes to Lazada Credit, and the refund shows it."""
    credit = await dana_buyer.credit()
    await fault(system, "throttle")
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    refund = await issued(system, dana_buyer, order_id)
    assert (refund["destination"], await paid(system, refund)) == ("lazada_credit", [])
    assert (await dana_buyer.get(f"/refunds/{refund['refund_id']}"))["attempts"] == 6
    assert await dana_buyer.credit() == credit + 189_000


async def test_wallet_that_is_closed(system: SystemUnderTest, dana_buyer: Buyer, product: str) -> None:
    """A wallet that cannot receive money any more is not tried again: Lazada Credit it is."""
    await system.dana.post("/accounts", json={"phone": "6281234567890", "state": "frozen"})
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    refund = await dana_buyer.refund(order_id)
    assert (refund["destination"], await paid(system, refund)) == ("lazada_credit", [])


async def test_unlinked_while_it_waits(system: SystemUnderTest, dana_buyer: Buyer, product: str) -> None:
    """A refund that DANA has not been sent when the wallet is unlinked goes to Lazada Credit."""
    await fault(system, "throttle")
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    await dana_buyer.refund(order_id, "sending")
    await dana_buyer.unlink_dana()
    await system.dana.post("/reset")
    refund = await issued(system, dana_buyer, order_id)
    assert (refund["destination"], await paid(system, refund)) == ("lazada_credit", [])


async def test_unlinked_when_it_may_have_paid(system: SystemUnderTest, dana_buyer: Buyer, product: str) -> None:
    """Unlinking does not pay twice: a payment that DANA made without an answer stays DANA's."""
    credit = await dana_buyer.credit()
    await fault(system, "timeout_after", times=1, seconds=5)
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    await dana_buyer.refund(order_id, "sending")
    await dana_buyer.unlink_dana()
    refund = await issued(system, dana_buyer, order_id)
    assert (refund["destination"], await paid(system, refund)) == ("dana", [189_000])
    assert await dana_buyer.credit() == credit


async def test_unlinked_before(dana_buyer: Buyer, product: str) -> None:
    """A cancellation after the wallet was unlinked is credited."""
    order_id = await dana_buyer.buy(product)
    await dana_buyer.unlink_dana()
    await dana_buyer.cancel(order_id)
    assert (await dana_buyer.refund(order_id))["destination"] == "lazada_credit"


async def test_pending_at_dana(system: SystemUnderTest, dana_buyer: Buyer, product: str) -> None:
    """A payment that DANA is still at work on is waited for, and not sent again."""
    await fault(system, "pending", times=1)
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    waiting = await dana_buyer.refund(order_id, "sending")
    await system.advance(LATER)
    await system.dana.post("/settle", json={"state": "paid"})
    refund = await issued(system, dana_buyer, order_id)
    assert (refund["destination"], await paid(system, refund)) == ("dana", [189_000])
    assert await calls(system, waiting["refund_id"].replace("-", "")) == ["2023800"]


@pytest.mark.parametrize(("state", "code"), [("frozen", 422), ("closed", 422)])
async def test_linking_what_cannot_receive(system: SystemUnderTest, stranger: Buyer, state: str, code: int) -> None:
    """A number whose wallet DANA would not pay into is not linked."""
    await system.dana.post("/accounts", json={"phone": "6285700000001", "state": state})
    answer = await stranger.ask("PUT", "/refunds/wallet/dana", {"phone": "085700000001"})
    assert (answer.status_code, answer.json()["code"]) == (code, "dana_account_not_found")
    assert (await stranger.get("/refunds/wallet"))["dana"] == {"linked": False, "phone": None}


async def test_linking_while_dana_is_away(system: SystemUnderTest, dana_buyer: Buyer, stranger: Buyer) -> None:
    """A number that DANA cannot confirm now is not linked; the answer has the time to wait."""
    await fault(system, "down")
    answer = await stranger.ask("PUT", "/refunds/wallet/dana", {"phone": "085700000002"})
    assert (answer.status_code, answer.json()["code"]) == (503, "dana_unreachable")


async def test_the_ledger_is_balanced(system: SystemUnderTest) -> None:
    """After all tests the ledger sums to zero, and DANA has paid each reference once."""
    snapshot = await system.settled()
    assert (snapshot.broken, snapshot.ledger_sum) == ([], 0)
