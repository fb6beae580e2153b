"""The worker that pays DANA: stopped and started, overtaken, doubled, and with more to do than it can."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from uuid import uuid4

import pytest

from contracts.words import Destination
from services.refunds import main, store
from services.refunds.domain import IN_HAND, Refund, State
from services.refunds.payer import AT_ONCE, MAX_QUEUED, Payer
from tests.harness.refunds import RefundsHarness, RefundsSetup
from tests.harness.waiting import TIMEOUT, becomes, eventually

LATER = IN_HAND + timedelta(seconds=1)
PAY, ASK = "38", "39"


async def all_issued(harness: RefundsHarness) -> None:
    """Lets time pass until every refund is issued."""

    async def issued() -> bool:
        await harness.later(timedelta(seconds=1))
        return not await harness.fetch("select from refunds where state <> 'issued'")

    await eventually(issued)
    await harness.agrees()


async def destinations(harness: RefundsHarness) -> list[str]:
    """Where the refunds have gone."""
    return [row["destination"] for row in await harness.fetch("select destination from refunds")]


@pytest.mark.parametrize(("mode", "calls"), [("timeout_after", [PAY, ASK]), ("timeout_before", [ASK, PAY])])
async def test_a_payer_that_is_stopped_amid_a_call(
    mode: str, calls: list[str], setup: RefundsSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while DANA has not answered, and started again: DANA is asked, and paid once."""
    monkeypatch.setattr(main, "STOPPING", 0.0)
    setup.dana.fails(mode, seconds=60)
    async with setup.opened(timeout="30") as harness:
        buyer = await harness.buyer(linked=True)
        await buyer.cancel()
        await eventually(lambda: setup.dana.called(PAY))
    setup.dana.fails()
    async with setup.opened() as harness:
        [refund] = await harness.fetch("select refund_id::text, state, uncertain from refunds")
        assert (refund["state"], refund["uncertain"]) == ("sending", True)
        await harness.later(LATER)
        await all_issued(harness)
        assert await setup.dana.calls(refund["refund_id"]) == calls
        assert await destinations(harness) == ["dana"]


async def test_the_answer_of_an_overtaken_payer_is_ignored(
    setup: RefundsSetup, caplog: pytest.LogCaptureFixture
) -> None:
    """Another worker inquires about a call that takes too long; the late answer of the slow one changes
    nothing."""
    caplog.set_level("INFO", "services.refunds.payer")
    async with setup.opened(timeout="30") as one, setup.opened(timeout="30") as other:
        buyer = await one.buyer(linked=True)
        setup.dana.fails("timeout_after", seconds=60, times=1)
        order_id = await buyer.cancel()
        await eventually(lambda: setup.dana.called(PAY))
        await one.later(LATER)
        other.service.uow.wake_deadlines()
        await one.recorder.wait_for(order_id, "RefundIssued")
        setup.dana.wakes()
        await one.agrees()
    # The services have waited for the slow call before they closed.
    assert one.recorder.names(order_id) == ["RefundIssued"]
    assert "came too late" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_call_that_takes_too_long_is_broken_off(setup: RefundsSetup) -> None:
    """When DANA does not answer within its time, before or after paying, it is asked, and the money arrives once."""
    async with setup.opened(timeout="1") as harness:
        for mode in ("slow", "timeout_after"):
            buyer = await harness.buyer(linked=True)
            setup.dana.fails(mode, seconds=60, times=1)
            refund, events = await buyer.refunded()
            assert refund["destination"] == "dana"
            assert events[0]["type"] == "RefundDelayed"
        await harness.agrees()


@pytest.mark.parametrize("mode", ["none", "timeout_after", "drop_before"])
async def test_two_payers_pay_once(mode: str, setup: RefundsSetup) -> None:
    """Two replicas on one database share the refunds through kills and restarts, and each refund is paid once."""
    async with setup.opened() as one, setup.opened() as other:
        buyer = await one.buyer(linked=True)
        setup.dana.fails(mode, seconds=0, times=6)
        await asyncio.gather(*(buyer.cancel() for _ in range(10)))
        await asyncio.gather(all_issued(one), all_issued(other))
        assert await destinations(one) == ["dana"] * 10


async def test_the_queue_of_payments_is_bounded(setup: RefundsSetup) -> None:
    """When DANA is slow, no more refunds are taken on than can be called about in time; the others wait, untouched, and
    are paid when there is room."""
    async with setup.opened(timeout="30") as harness:
        buyer = await harness.buyer(linked=True)
        setup.dana.fails("timeout_before", seconds=60)
        await asyncio.gather(*(buyer.cancel() for _ in range(MAX_QUEUED + 10)))
        await eventually(lambda: setup.dana.called(PAY))
        taken = await harness.fetch("select from refunds where state = 'sending'")
        assert AT_ONCE <= len(taken) <= MAX_QUEUED
        setup.dana.wakes()
        await all_issued(harness)
        assert await destinations(harness) == ["dana"] * (MAX_QUEUED + 10)


async def test_a_payment_that_waited_too_long_is_not_sent(
    setup: RefundsSetup, caplog: pytest.LogCaptureFixture
) -> None:
    """A payment that did not leave in time is never sent: DANA would take it long after the decision."""
    async with setup.opened(timeout="30") as harness:
        buyer = await harness.buyer(linked=True)
        setup.dana.fails("timeout_before", seconds=60)
        for _ in range(AT_ONCE + 5):
            await buyer.cancel()
        await eventually(lambda: waiting(harness, AT_ONCE + 5))
        in_line = await harness.fetch("select refund_id::text from refunds order by refund_id offset $1", AT_ONCE)
        await harness.later(LATER)
        setup.dana.wakes()
        await all_issued(harness)
        for refund in in_line:
            assert (await setup.dana.calls(refund["refund_id"]))[0] == ASK
        assert "deadlock" not in caplog.text


class Later(datetime):
    """A wall clock after a pause that is longer than DANA accepts a timestamp."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(minutes=6)


async def test_a_payment_of_a_process_that_was_suspended_is_refused(
    setup: RefundsSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is suspended after its last look at the refund does not sign with a fresh time: DANA refuses the
    payment, which may not be wanted any more."""
    read = Payer._read_current
    async with setup.opened() as harness:
        buyer = await harness.buyer(linked=True)
        with monkeypatch.context() as suspended:

            async def read_and_sleep(self: Payer, before: Refund, decided_at: datetime) -> tuple[bool, bool]:
                found = await read(self, before, decided_at)
                for module in ("services.refunds.snap", "services.refunds.payer", "simulators.dana.app"):
                    suspended.setattr(f"{module}.datetime", Later)
                return found

            suspended.setattr(Payer, "_read_current", read_and_sleep)
            order_id = await buyer.cancel()
            await harness.recorder.until(lambda: bool(harness.recorder.about(order_id)))
            assert await setup.dana.paid() == {}
        await harness.carry_on(order_id)
        assert harness.recorder.names(order_id) == ["RefundDelayed", "RefundIssued"]
        await harness.agrees()


@pytest.mark.parametrize("then", ["unlinked", "linked to another number", "unlinked and linked again"])
async def test_a_queued_payment_follows_its_wallet(then: str, setup: RefundsSetup) -> None:
    """A payment that was decided on and waits for its turn is not made when its wallet is unlinked, or another takes
    its place; one that DANA may have got is asked about all the same."""
    async with setup.opened(timeout="30") as harness:
        first, buyer = await harness.buyer(linked=True), await harness.buyer(linked=True)
        setup.dana.fails("timeout_before", seconds=60)
        for _ in range(AT_ONCE):
            await first.cancel()
        await becomes(lambda: setup.dana.called(PAY), AT_ONCE)
        await buyer.cancel()
        await eventually(lambda: waiting(harness, AT_ONCE + 1))
        await first.unlink()
        if then != "linked to another number":
            await buyer.unlink()
        if then != "unlinked":
            await buyer.link(buyer.phone if "again" in then else (await harness.buyer()).phone)
        setup.dana.wakes()
        await harness.recorder.wait_for((await buyer.refunds())[0]["order_id"], "RefundIssued")
        [refund] = await buyer.refunds()
        wanted = "again" in then
        assert refund["destination"] == ("dana" if wanted else "lazada_credit")
        assert refund["attempts"] == (1 if wanted else 0)
        assert await setup.dana.calls(refund["refund_id"]) == ([PAY] if wanted else [])
        for _ in range(AT_ONCE + 2):
            await harness.later(timedelta(minutes=1))
            await becomes(lambda: harness.fetch("select from deadlines where due_at <= clock_now()"), [])
        await all_issued(harness)
        for maybe_sent in await first.refunds():
            assert ASK in await setup.dana.calls(maybe_sent["refund_id"])


async def test_other_work_takes_no_place_in_the_queue(setup: RefundsSetup) -> None:
    """Other work after the commit takes no place in the line: one transaction decides on `MAX_QUEUED` payments."""
    async with setup.opened() as harness:
        buyer = await harness.buyer(linked=True)
        payer = Payer(harness.service.uow, harness.service.app.state.dana)
        harness.dana.fails("timeout_before", seconds=60)
        ids = [uuid4() for _ in range(MAX_QUEUED + 1)]
        one = Refund(ids[0], uuid4(), uuid4(), buyer.person.account_id, 1, Destination.DANA, State.PENDING, buyer.phone)
        refunds = [replace(one, refund_id=id, cancellation_id=uuid4(), order_id=uuid4()) for id in ids]
        async with harness.service.uow.begin() as tx:
            await store.insert_new(tx, refunds)
            await store.post(tx, refunds, store.Movement.SEND)
        async with harness.service.uow.begin() as tx:
            for refund in refunds:
                tx.after_commit(lambda: None)
                await payer.due(tx, str(refund.refund_id))
        assert await waiting(harness, MAX_QUEUED)
        harness.dana.wakes()
        await payer.finish(TIMEOUT)
        await all_issued(harness)


async def waiting(harness: RefundsHarness, count: int) -> bool:
    """Whether so many refunds are taken on."""
    return len(await harness.fetch("select from refunds where state = 'sending'")) == count
