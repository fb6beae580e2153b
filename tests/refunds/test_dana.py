"""Refunds to DANA, through everything that DANA can do to them."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from simulators.dana.journal import AccountState
from tests.harness.publishing import publish_as
from tests.harness.refunds import RefundsHarness

PAUSES = [5, 10, 20, 40, 60]
PAY, ASK = "38", "39"


@pytest.mark.parametrize(
    ("state", "amount", "destination", "attempts"),
    [
        ("active", 325_000, "dana", 1),
        ("active", 20_000_001, "lazada_credit", 6),
        ("frozen", 150_000, "lazada_credit", 1),
        ("closed", 150_000, "lazada_credit", 1),
    ],
)
async def test_a_linked_wallet_is_paid(
    state: AccountState, amount: int, destination: str, attempts: int, harness: RefundsHarness
) -> None:
    """The money goes to DANA, all of it, with one payment. From a frozen or closed wallet it goes to Lazada Credit at
    once; if the amount is above DANA's limit, in the end."""
    buyer = await harness.buyer(linked=True)
    await harness.dana.account(buyer.phone, state)
    refund, events = await buyer.refunded(amount)
    assert (refund["state"], refund["destination"], refund["attempts"]) == ("issued", destination, attempts)
    assert [event["type"] for event in events] == ["RefundDelayed"] * (attempts - 1) + ["RefundIssued"]
    assert refund["phone"] == f"+62•••••{buyer.phone[-4:]}"
    assert events[-1]["data"].items() >= {"destination": destination, "amount": amount}.items()
    # What is above the limit is not in the journal under its reference.
    assert await harness.dana.calls(refund["refund_id"]) == ([PAY] if attempts == 1 else [])
    assert (await buyer.wallet())["credit_balance"] == (amount if destination == "lazada_credit" else 0)


@pytest.mark.parametrize(
    ("fault", "destination", "payments"),
    [
        ({"mode": "fail", "recorded": False, "times": 1}, "dana", 2),
        ({"mode": "fail", "recorded": False, "times": 5}, "dana", 6),
        ({"mode": "fail", "recorded": True, "times": 1}, "lazada_credit", 6),
        ({"mode": "slow", "seconds": 0.02, "times": 1}, "dana", 1),
        *(({"mode": mode, "times": 1}, "dana", 1) for mode in ("timeout_before", "timeout_after", "drop_after")),
        *(({"mode": mode, "times": 4}, "dana", 1) for mode in ("drop_before", "throttle", "down")),
        ({"mode": "down", "times": 4, "applies_to": "all"}, "dana", 1),
        ({"mode": "pending", "seconds": 0}, "dana", 1),
        ({"mode": "pending", "seconds": 0, "settles_as": "failed"}, "lazada_credit", 6),
    ],
    ids=str,
)
async def test_a_refund_arrives_after_a_temporary_fault(
    fault: dict[str, Any], destination: str, payments: int, harness: RefundsHarness
) -> None:
    """After every temporary fault the money arrives once, at DANA where that is possible; `payments` of the calls
    reached DANA's journal."""
    buyer = await harness.buyer(linked=True)
    harness.dana.fails(**{"seconds": 0} | fault)
    refund, events = await buyer.refunded()
    assert (refund["state"], refund["destination"]) == ("issued", destination)
    assert (events[-1]["data"]["destination"], events[-1]["data"]["amount"]) == (destination, 150_000)
    assert (await harness.dana.calls(refund["refund_id"])).count(PAY) == payments
    assert (await buyer.wallet())["credit_balance"] == (150_000 if destination == "lazada_credit" else 0)


@pytest.mark.parametrize("mode", ["fail", "throttle"])
async def test_a_lasting_failure_ends_in_credit(mode: str, harness: RefundsHarness) -> None:
    """After six payments that definitely failed, at the pauses of DANA's book, the money goes to Lazada Credit; every
    delay is published as it is."""
    buyer = await harness.buyer(linked=True)
    harness.dana.fails(mode, recorded=False)
    refund, events = await buyer.refunded()
    assert (refund["destination"], refund["attempts"]) == ("lazada_credit", 6)
    delays = events[:-1]
    assert [delay["type"] for delay in delays] == ["RefundDelayed"] * 5
    assert [delay["data"]["attempts"] for delay in delays] == [1, 2, 3, 4, 5]
    for delay, pause in zip(delays, PAUSES, strict=True):
        assert delay["data"]["destination"] == "dana"
        assert delay["data"]["order_id"] == refund["order_id"]
        now, then = (datetime.fromisoformat(at) for at in (delay["time"], delay["data"]["next_attempt_at"]))
        assert then - now == timedelta(seconds=pause)
    for one, next_one in pairwise(delays):
        assert next_one["time"] >= one["data"]["next_attempt_at"]
    assert [event["sequence"] for event in events] == list(range(1, 7))


@pytest.mark.parametrize("mode", ["timeout_before", "drop_before"])
async def test_unanswered_payments_end_in_credit(mode: str, harness: RefundsHarness) -> None:
    """Payments that are never answered are each asked about, and credit is given only long after the last of them."""
    buyer = await harness.buyer(linked=True)
    harness.dana.fails(mode, seconds=0)
    refund, events = await buyer.refunded()
    assert (refund["destination"], refund["attempts"]) == ("lazada_credit", 6)
    assert await harness.dana.calls(refund["refund_id"]) == [ASK] * 7
    last, issued = (datetime.fromisoformat(event["time"]) for event in (events[-2], events[-1]))
    assert issued - last >= timedelta(minutes=10)


async def test_a_refund_waits_while_dana_is_down(harness: RefundsHarness) -> None:
    """While the result of a payment is unknown, however long, nothing is sent again and nothing credited."""
    buyer = await harness.buyer(linked=True)
    harness.dana.fails("timeout_after", seconds=0, times=1)
    order_id = await buyer.cancel()
    await harness.recorder.wait_for(order_id, "RefundDelayed")
    harness.dana.fails("down")
    for times in range(2, 9):
        delayed = await harness.recorder.wait_for(order_id, "RefundDelayed", times - 1)
        await harness.until(delayed["data"]["next_attempt_at"])
        await harness.recorder.wait_for(order_id, "RefundDelayed", times)
    [refund] = await buyer.refunds()
    assert (refund["state"], refund["attempts"]) == ("sending", 1)
    assert (await buyer.wallet())["credit_balance"] == 0
    harness.dana.fails()
    await harness.carry_on(order_id)
    assert await harness.dana.calls(refund["refund_id"]) == [PAY, ASK]


async def test_a_reminder_of_money_on_its_way(harness: RefundsHarness) -> None:
    """A reminder of a refund that DANA has not confirmed is not answered with its arrival, and pays nothing; one of a
    refund that has arrived is answered with where it has."""
    buyer = await harness.buyer(linked=True)
    harness.dana.fails("pending")
    event = buyer.cancelled()
    order_id = str(event.order_id)
    await publish_as(harness.recorder.bus, "orders", event)
    await harness.recorder.wait_for(order_id, "RefundDelayed")
    await publish_as(harness.recorder.bus, "orders", event)
    assert harness.recorder.names(order_id) == ["RefundDelayed"]
    harness.dana.fails()
    await harness.dana.settle("paid")
    await harness.carry_on(order_id)
    await buyer.unlink()
    await publish_as(harness.recorder.bus, "orders", event)
    again = await harness.recorder.wait_for(order_id, "RefundIssued", times=2)
    assert again["data"]["destination"] == "dana"
    [refund] = await buyer.refunds()
    assert (await harness.dana.calls(refund["refund_id"])).count(PAY) == 1
    assert (await buyer.wallet())["credit_balance"] == 0


@pytest.mark.parametrize("end", ["paid", "failed"])
async def test_unlinked_while_pending(end: str, harness: RefundsHarness) -> None:
    """A payment that DANA is processing stays there after the wallet is unlinked; if it fails, it goes to credit."""
    buyer = await harness.buyer(linked=True)
    harness.dana.fails("pending")
    order_id = await buyer.cancel()
    delayed = await harness.recorder.wait_for(order_id, "RefundDelayed")
    await buyer.unlink()
    await harness.until(delayed["data"]["next_attempt_at"])
    await harness.recorder.wait_for(order_id, "RefundDelayed", 2)
    assert (await buyer.refunds())[0]["state"] == "sending"
    await harness.dana.settle(end)
    events = await harness.carry_on(order_id)
    assert events[-1]["data"]["destination"] == ("dana" if end == "paid" else "lazada_credit")
    [refund] = await buyer.refunds()
    assert (await harness.dana.calls(refund["refund_id"])).count(PAY) == 1


async def test_unlinked_before_it_is_sent_again(harness: RefundsHarness) -> None:
    """A payment that definitely failed is not sent again to a wallet that is no longer linked."""
    buyer = await harness.buyer(linked=True)
    harness.dana.fails("fail", recorded=False)
    order_id = await buyer.cancel()
    await harness.recorder.wait_for(order_id, "RefundDelayed")
    await buyer.unlink()
    events = await harness.carry_on(order_id)
    assert events[-1]["data"]["destination"] == "lazada_credit"
    [refund] = await buyer.refunds()
    assert refund["attempts"] == 1
