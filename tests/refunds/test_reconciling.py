"""`batalkan reconcile` beside the running service: alone, through deadlocks, and past cancellations that are parked."""

import asyncio
from functools import partial
from unittest.mock import AsyncMock, patch
from uuid import UUID

import pytest
from typer.testing import CliRunner

from batalkan import reconciling
from batalkan.cli import app
from batalkan.operate import connected
from runtime.messaging import consumer
from runtime.observability.trace_context import new_id
from services import SERVICES
from services.refunds import hold
from services.refunds.domain import DOUBT
from tests.harness.publishing import publish_as
from tests.harness.refunds import RefundsSetup
from tests.harness.waiting import TIMEOUT, eventually

PAY = "38"


async def test_a_deadlock_with_the_worker_does_not_end_it(setup: RefundsSetup) -> None:
    """The worker locks refunds as they become due. When that and the beginning of the hold wait for each other, the
    hold begins again."""
    async with setup.opened() as harness:
        buyer = await harness.buyer(linked=True)
        setup.dana.fails("throttle")
        for order_id in [await buyer.cancel() for _ in range(2)]:
            await setup.recorder.wait_for(order_id, "RefundDelayed")
        first, second = await harness.fetch("select refund_id from refunds order by refund_id")
        lock = "select from refunds where refund_id = $1 for update"
        async with connected(setup.url) as worker:
            async with worker.transaction():
                await worker.execute("set local deadlock_timeout = '1 min'")
                await worker.execute(lock, second["refund_id"])
                holding = asyncio.create_task(reconciling.hold({"refunds": setup.url}))
                waits = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
                await eventually(lambda: harness.fetch(waits))
                await worker.execute(lock, first["refund_id"])
            await holding
        assert len(await harness.fetch("select from refunds where at_orders = 'unheard'")) == 2


async def test_one_reconciliation_at_a_time(setup: RefundsSetup) -> None:
    """A second one is refused while the first runs."""
    async with connected(setup.url) as connection:
        await connection.fetchval("select pg_advisory_lock($1)", reconciling.LOCK)
        with pytest.raises(reconciling.AlreadyReconciling):
            await reconciling.reconcile({"refunds": setup.url, "orders": setup.url}, print)


async def test_a_cancellation_that_is_parked_ends_the_wait(setup: RefundsSetup) -> None:
    """A cancellation that refunds cannot handle is named, with exit code 1; the others are paid again."""
    urls = {"refunds": setup.url, "orders": setup.url}
    async with setup.opened() as harness:
        buyer = await harness.buyer()
        first = buyer.cancelled()
        await publish_as(setup.recorder.bus, "orders", first)
        second = first.model_copy(update={"cancellation_id": new_id()})

        async def republish(_: object, after: UUID, limit: int) -> list[UUID]:
            if after.int:
                return []
            await publish_as(setup.recorder.bus, "orders", first, second)
            return [first.cancellation_id, second.cancellation_id]

        with patch.object(reconciling, "republish", republish):
            async with asyncio.timeout(TIMEOUT):
                found = await reconciling.reconcile(urls, print)
        assert found.parked == (second.cancellation_id,)
        async with harness.service.uow.begin() as tx:
            assert not await hold.is_on(tx)
    env = {f"{name.upper()}_DATABASE_URL": setup.url for name in SERVICES}
    with patch.object(reconciling, "reconcile", AsyncMock(return_value=found)):
        said = await asyncio.to_thread(CliRunner().invoke, app, ["reconcile"], env=env)
    assert said.exit_code == 1
    assert str(second.cancellation_id) in said.output


async def test_the_refund_of_a_parked_cancellation_is_not_paid(
    setup: RefundsSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What orders knows of a refund is unheard while its cancellation is parked: DANA is asked about it, and nothing is
    paid. Once the cancellation was consumed, and the reconciliation has run again, it is paid."""
    monkeypatch.setattr(consumer, "MAX_FAILURES", 1)
    urls = {"refunds": setup.url, "orders": setup.url}
    async with setup.opened() as harness:
        buyer = await harness.buyer(linked=True)
        cancelled = buyer.cancelled()
        setup.dana.fails("throttle")
        await publish_as(setup.recorder.bus, "orders", cancelled)
        await setup.recorder.wait_for(str(cancelled.order_id), "RefundDelayed")
        setup.dana.fails()

        async def republish(_: object, after: UUID, limit: int) -> list[UUID]:
            if after.int:
                return []
            await publish_as(setup.recorder.bus, "orders", cancelled)
            return [cancelled.cancellation_id]

        with patch.object(reconciling, "republish", republish):
            with patch.object(hold, "note_at_orders", side_effect=ValueError("not understood")):
                found = await reconciling.reconcile(urls, print)
            [refund] = await buyer.refunds()
            assert found.parked == (cancelled.cancellation_id,)
            assert found.disputed == [UUID(refund["refund_id"]).hex]
            for asked in range(1, 3):
                await harness.later(2 * DOUBT)
                await eventually(partial(harness.fetch, "select from refunds where inquiries = $1", asked))
            assert await setup.dana.called(PAY) == 1
            found = await reconciling.reconcile(urls, print)
        assert (found.parked, found.disputed, found.open) == ((), [], 1)
        await setup.recorder.wait_for(str(cancelled.order_id), "RefundIssued")
        assert await setup.dana.called(PAY) == 2
        await harness.agrees()
