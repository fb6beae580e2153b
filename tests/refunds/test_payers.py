"""The worker that pays DANA: stopped and started, overtaken, doubled, and with more to do than it can."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from contracts.words import Destination
from services.refunds import main, store
from services.refunds.domain import IN_HAND, Refund, State
from services.refunds.payer import AT_ONCE, IN_LINE, Payer
from tests.harness.bus_events import PATIENCE
from tests.harness.refunds import Bank, Branch

LATER = IN_HAND + timedelta(seconds=1)
PAY, ASK = "38", "39"


async def happens(ask: Callable[[], Awaitable[bool]]) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not await ask():
            await asyncio.sleep(0.02)


async def all_issued(bank: Bank) -> None:
    """Lets time pass until every refund is issued."""

    async def issued() -> bool:
        await bank.later(timedelta(seconds=1))
        return not await bank.fetch("select from refunds where state <> 'issued'")

    await happens(issued)
    await bank.agrees()


@pytest.mark.parametrize(("mode", "calls"), [("timeout_after", [PAY, ASK]), ("timeout_before", [ASK, PAY])])
async def test_a_payer_that_is_stopped_amid_a_call(
    mode: str, calls: list[str], branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while DANA has not answered, and started again: DANA is asked, and paid once."""
    monkeypatch.setattr(main, "STOPPING", 0.0)
    branch.dana.fails(mode, seconds=60)
    async with branch.opened(patience="30") as bank:
        buyer = await bank.buyer(linked=True)
        await buyer.cancel()
        await happens(branch.dana.is_called)
    branch.dana.fails()
    async with branch.opened() as bank:
        [refund] = await bank.fetch("select refund_id::text, state, uncertain from refunds")
        assert (refund["state"], refund["uncertain"]) == ("sending", True)
        await bank.later(LATER)
        await all_issued(bank)
        assert await branch.dana.calls(refund["refund_id"]) == calls
        [row] = await bank.fetch("select destination from refunds")
        assert row["destination"] == "dana"


async def test_a_payer_that_is_overtaken_has_no_say(branch: Branch, caplog: pytest.LogCaptureFixture) -> None:
    """A call that takes longer than anybody waits is left behind: another worker asks, and what the slow one hears at
    last is of no account."""
    caplog.set_level("INFO", "services.refunds.payer")
    async with branch.opened(patience="30") as one, branch.opened(patience="30") as other:
        buyer = await one.buyer(linked=True)
        branch.dana.fails("timeout_after", seconds=60, times=1)
        order_id = await buyer.cancel()
        await happens(branch.dana.is_called)
        await one.later(LATER)
        other.service.work.wake_deadlines()
        await one.ears.hear(order_id, "RefundIssued")
        branch.dana.wakes()
        await one.agrees()
    # The services have waited for the slow call before they closed.
    assert one.ears.names(order_id) == ["RefundIssued"]
    assert "too late to count" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_call_that_takes_too_long_is_broken_off(branch: Branch) -> None:
    """When DANA does not answer within its time, before or after paying, it is asked, and the money arrives once."""
    async with branch.opened(patience="0.3") as bank:
        for mode in ("slow", "timeout_after"):
            buyer = await bank.buyer(linked=True)
            branch.dana.fails(mode, seconds=60, times=1)
            refund, events = await buyer.refunded()
            assert refund["destination"] == "dana"
            assert events[0]["type"] == "RefundDelayed"
        await bank.agrees()


@pytest.mark.parametrize("mode", ["none", "timeout_after", "drop_before"])
async def test_two_payers_pay_once(mode: str, branch: Branch) -> None:
    """Two replicas on one database share the refunds, whatever happens, and each is paid once."""
    async with branch.opened() as one, branch.opened() as other:
        buyer = await one.buyer(linked=True)
        branch.dana.fails(mode, seconds=0, times=6)
        await asyncio.gather(*(buyer.cancel() for _ in range(10)))
        await asyncio.gather(all_issued(one), all_issued(other))
        rows = await one.fetch("select destination from refunds")
        assert [row["destination"] for row in rows] == ["dana"] * 10


async def test_a_long_line_is_not_let_in_at_once(branch: Branch) -> None:
    """When DANA is slow, no more refunds are taken on than can be called about in time; the others wait, untouched, and
    are paid when there is room."""
    async with branch.opened(patience="30") as bank:
        buyer = await bank.buyer(linked=True)
        branch.dana.fails("timeout_before", seconds=60)
        await asyncio.gather(*(buyer.cancel() for _ in range(IN_LINE + 10)))
        await happens(branch.dana.is_called)
        taken = await bank.fetch("select from refunds where state = 'sending'")
        assert AT_ONCE <= len(taken) <= IN_LINE
        branch.dana.wakes()
        await all_issued(bank)
        rows = await bank.fetch("select destination from refunds")
        assert [row["destination"] for row in rows] == ["dana"] * (IN_LINE + 10)


async def test_what_waited_too_long_is_not_sent(branch: Branch, caplog: pytest.LogCaptureFixture) -> None:
    """A payment that was decided on and did not leave in time never leaves: DANA would take it when nobody expects it
    any more."""
    async with branch.opened(patience="30") as bank:
        buyer = await bank.buyer(linked=True)
        branch.dana.fails("timeout_before", seconds=60)
        for _ in range(AT_ONCE + 5):
            await buyer.cancel()
        await happens(lambda: waiting(bank, AT_ONCE + 5))
        in_line = await bank.fetch("select refund_id::text from refunds order by refund_id offset $1", AT_ONCE)
        await bank.later(LATER)
        branch.dana.wakes()
        await all_issued(bank)
        for refund in in_line:
            assert (await branch.dana.calls(refund["refund_id"]))[0] == ASK
        assert "deadlock" not in caplog.text


@pytest.mark.parametrize("then", ["unlinked", "linked to another number", "unlinked and linked again"])
async def test_unlinked_while_in_line(then: str, branch: Branch) -> None:
    """A payment that was decided on and waits for its turn is not made when its wallet is unlinked, or another takes
    its place; one that DANA may have got is asked about all the same."""
    async with branch.opened(patience="30") as bank:
        first, buyer = await bank.buyer(linked=True), await bank.buyer(linked=True)
        branch.dana.fails("timeout_before", seconds=60)
        for _ in range(AT_ONCE):
            await first.cancel()
        await happens(lambda: waiting(bank, AT_ONCE))
        await buyer.cancel()
        await happens(lambda: waiting(bank, AT_ONCE + 1))
        await first.unlink()
        if then != "linked to another number":
            await buyer.unlink()
        if then != "unlinked":
            await buyer.link(buyer.phone if "again" in then else (await bank.buyer()).phone)
        branch.dana.wakes()
        await bank.ears.hear((await buyer.refunds())[0]["order_id"], "RefundIssued")
        [refund] = await buyer.refunds()
        wanted = "again" in then
        assert refund["destination"] == ("dana" if wanted else "lazada_credit")
        assert refund["attempts"] == (1 if wanted else 0)
        assert await branch.dana.calls(refund["refund_id"]) == ([PAY] if wanted else [])
        for _ in range(AT_ONCE + 2):
            await bank.later(timedelta(minutes=1))
            await happens(lambda: nothing_due(bank))
        await all_issued(bank)
        for maybe_sent in await first.refunds():
            assert ASK in await branch.dana.calls(maybe_sent["refund_id"])


async def nothing_due(bank: Bank) -> bool:
    """Whether all that is due is done."""
    return not await bank.fetch("select from deadlines where due_at <= clock_now()")


async def test_only_calls_take_places_in_the_line(branch: Branch) -> None:
    """Whatever else follows a commit, as many payments are decided on in one transaction as there are places."""
    async with branch.opened() as bank:
        buyer = await bank.buyer(linked=True)
        payer = Payer(bank.service.work, bank.service.app.state.dana)
        bank.dana.fails("timeout_before", seconds=60)
        ids = [uuid4() for _ in range(IN_LINE + 1)]
        one = Refund(ids[0], uuid4(), uuid4(), buyer.person.account_id, 1, Destination.DANA, State.PENDING, buyer.phone)
        refunds = [replace(one, refund_id=id, cancellation_id=uuid4(), order_id=uuid4()) for id in ids]
        async with bank.service.work.begin() as tx:
            await store.open_refunds(tx, refunds)
            await store.post(tx, refunds, store.Movement.SEND)
        async with bank.service.work.begin() as tx:
            for refund in refunds:
                tx.after_commit(lambda: None)
                await payer.due(tx, str(refund.refund_id))
        assert await waiting(bank, IN_LINE)
        bank.dana.wakes()
        await payer.finish(PATIENCE)
        await all_issued(bank)


async def waiting(bank: Bank, count: int) -> bool:
    """Whether so many refunds are taken on."""
    return len(await bank.fetch("select from refunds where state = 'sending'")) == count
