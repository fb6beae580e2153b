"""DANA as it can be: late, away, broken, or no longer the buyer's."""

from datetime import timedelta
from typing import Any

import pytest

from tests.harness.actors import Buyer
from tests.harness.event_recorder import Ears
from tests.harness.system import Place
from tests.harness.waiting import eventually

LATER = timedelta(minutes=1)
"""At least as long as any pause between two tries, and less than what is doubtful stays so."""


async def fault(place: Place, mode: str, **more: Any) -> None:
    """Has DANA fail this way from now on."""
    (await place.dana.put("/faults", json={"mode": mode, **more})).raise_for_status()


async def calls(place: Place, reference: str) -> list[str]:
    """What DANA answered to the payments under this reference, oldest first."""
    items = (await place.dana.get("/requests", params={"limit": 1000})).json()["items"]
    return [item["code"] for item in reversed(items) if item["reference"] == reference and item["service"] == "38"]


async def paid(place: Place, refund: dict[str, Any]) -> list[int]:
    """What DANA paid for this refund."""
    reference = refund["refund_id"].replace("-", "")
    return [payment["amount"] for payment in await place.dana_payments() if payment["reference"] == reference]


async def issued(place: Place, buyer: Buyer, order_id: str, step: timedelta = LATER) -> dict[str, Any]:
    """The order's refund, once it has arrived; time is moved on until it has."""

    async def look() -> dict[str, Any] | None:
        refund: dict[str, Any] | None = (await buyer.order(order_id))["refund"]
        if refund and refund["state"] == "issued":
            return refund
        await place.advance(step)
        return None

    return await eventually(look, 60)


@pytest.mark.parametrize("mode", ["timeout_after", "drop_after"])
async def test_paid_and_not_told(place: Place, dana_buyer: Buyer, product: str, mode: str) -> None:
    """DANA pays and says nothing: it is asked, and the money is paid once."""
    await fault(place, mode, times=1, seconds=5)
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    late = await dana_buyer.refund(order_id, "sending")
    refund = await issued(place, dana_buyer, order_id)
    assert refund.items() >= {"refund_id": late["refund_id"], "destination": "dana", "amount": 189_000}.items()
    assert await paid(place, refund) == [189_000]
    assert await calls(place, refund["refund_id"].replace("-", "")) == ["2003800"]


async def test_not_paid_and_not_told(place: Place, dana_buyer: Buyer, product: str) -> None:
    """DANA says nothing and has not paid: the same payment is sent again, under the same reference, and paid once."""
    await fault(place, "timeout_before", times=1, seconds=5)
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    refund = await issued(place, dana_buyer, order_id)
    assert (refund["destination"], await paid(place, refund)) == ("dana", [189_000])


async def test_away_and_back(place: Place, ears: Ears, dana_buyer: Buyer, product: str) -> None:
    """While DANA is down the buyer is told that the money is late; when it is back the money comes by itself."""
    await fault(place, "down")
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    delayed = (await ears.until(order_id, "RefundDelayed"))["data"]
    assert delayed.items() >= {"attempts": 1, "destination": "dana"}.items()
    assert (await dana_buyer.refund(order_id, "sending"))["amount"] == 189_000
    await place.dana.post("/reset")
    refund = await issued(place, dana_buyer, order_id)
    assert (refund["destination"], await paid(place, refund)) == ("dana", [189_000])


async def test_turned_away_to_the_last(place: Place, dana_buyer: Buyer, product: str) -> None:
    """A payment that DANA refuses six times goes to Lazada Credit, and the refund says so."""
    credit = await dana_buyer.credit()
    await fault(place, "throttle")
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    refund = await issued(place, dana_buyer, order_id)
    assert (refund["destination"], await paid(place, refund)) == ("lazada_credit", [])
    assert (await dana_buyer.get(f"/refunds/{refund['refund_id']}"))["attempts"] == 6
    assert await dana_buyer.credit() == credit + 189_000


async def test_wallet_that_is_closed(place: Place, dana_buyer: Buyer, product: str) -> None:
    """A wallet that cannot receive money any more is not tried again: Lazada Credit it is."""
    await place.dana.post("/accounts", json={"phone": "6281234567890", "state": "frozen"})
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    refund = await dana_buyer.refund(order_id)
    assert (refund["destination"], await paid(place, refund)) == ("lazada_credit", [])


async def test_unlinked_while_it_waits(place: Place, dana_buyer: Buyer, product: str) -> None:
    """A refund that DANA has not been sent when the wallet is unlinked goes to Lazada Credit."""
    await fault(place, "throttle")
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    await dana_buyer.refund(order_id, "sending")
    await dana_buyer.unlink_dana()
    await place.dana.post("/reset")
    refund = await issued(place, dana_buyer, order_id)
    assert (refund["destination"], await paid(place, refund)) == ("lazada_credit", [])


async def test_unlinked_when_it_may_have_paid(place: Place, dana_buyer: Buyer, product: str) -> None:
    """Unlinking does not pay twice: what DANA has paid already, unheard, stays paid by DANA."""
    credit = await dana_buyer.credit()
    await fault(place, "timeout_after", times=1, seconds=5)
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    await dana_buyer.refund(order_id, "sending")
    await dana_buyer.unlink_dana()
    refund = await issued(place, dana_buyer, order_id)
    assert (refund["destination"], await paid(place, refund)) == ("dana", [189_000])
    assert await dana_buyer.credit() == credit


async def test_unlinked_before(dana_buyer: Buyer, product: str) -> None:
    """What is cancelled after the wallet was unlinked is credited."""
    order_id = await dana_buyer.buy(product)
    await dana_buyer.unlink_dana()
    await dana_buyer.cancel(order_id)
    assert (await dana_buyer.refund(order_id))["destination"] == "lazada_credit"


async def test_pending_at_dana(place: Place, dana_buyer: Buyer, product: str) -> None:
    """A payment that DANA is still at work on is waited for, and not sent again."""
    await fault(place, "pending", times=1)
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)
    waiting = await dana_buyer.refund(order_id, "sending")
    await place.advance(LATER)
    await place.dana.post("/settle", json={"state": "paid"})
    refund = await issued(place, dana_buyer, order_id)
    assert (refund["destination"], await paid(place, refund)) == ("dana", [189_000])
    assert await calls(place, waiting["refund_id"].replace("-", "")) == ["2023800"]


@pytest.mark.parametrize(("state", "code"), [("frozen", 422), ("closed", 422)])
async def test_linking_what_cannot_receive(place: Place, stranger: Buyer, state: str, code: int) -> None:
    """A number whose wallet DANA would not pay into is not linked."""
    await place.dana.post("/accounts", json={"phone": "6285700000001", "state": state})
    answer = await stranger.ask("PUT", "/refunds/wallet/dana", {"phone": "085700000001"})
    assert (answer.status_code, answer.json()["code"]) == (code, "dana_account_not_found")
    assert (await stranger.get("/refunds/wallet"))["dana"] == {"linked": False, "phone": None}


async def test_linking_while_dana_is_away(place: Place, dana_buyer: Buyer, stranger: Buyer) -> None:
    """What DANA cannot confirm now is not linked now, and the caller is told to come back."""
    await fault(place, "down")
    answer = await stranger.ask("PUT", "/refunds/wallet/dana", {"phone": "085700000002"})
    assert (answer.status_code, answer.json()["code"]) == (503, "dana_unreachable")


async def test_books_are_in_order(place: Place) -> None:
    """After all this the ledger sums to zero, and DANA paid what it was to pay, each reference once."""
    books = await place.settled()
    assert (books.broken, books.ledger_sum) == ([], 0)
