"""After the 24 hours customer service waits for what may still be in flight."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.orders import OrderPaid
from runtime.observability.trace_context import new_id
from services.cs import handlers, store
from services.cs.handlers import BrokerStability
from tests.harness.cs import HOUR, CsHarness
from tests.harness.cs_actors import Contacted
from tests.harness.waiting import becomes

_PARKED = """
insert into parked (parked_id, routing_key, subject, body, size, digest, error)
values (gen_random_uuid(), $1, $2, '', 0, '', 'failed 5 times')
"""


async def has_settled(harness: CsHarness, case: Contacted, settling: timedelta) -> bool:
    """Whether a case whose time of settling is over may be cancelled."""
    await harness.fetch("update cases set settles_at = now()")
    async with harness.service.uow.begin() as tx:
        locked = await store.lock(tx, UUID(case.case_id))
        assert locked is not None
        return await store.has_settled(tx, locked, settling)


async def test_a_deed_of_the_seller_that_is_parked_counts_as_in_flight(harness: CsHarness) -> None:
    """While an answer or a packing of the order is parked, nothing is cancelled; other messages do not delay it."""
    case = await harness.contacted()
    second = timedelta(seconds=1)
    await harness.fetch(_PARKED, "orders.OrderPaid", case.order_id)
    await harness.fetch(_PARKED.replace("'', 'failed", "'1', 'failed"), "chat.SellerReplied", new_id())
    assert await has_settled(harness, case, second)
    for key in ("chat.SellerReplied", "orders.OrderPacked", "orders.OrderShipped"):
        await harness.fetch(_PARKED, key, case.order_id)
        assert not await has_settled(harness, case, second)
        await harness.fetch("update parked set state = 'discarded' where subject = $1", case.order_id)
    assert await has_settled(harness, case, second)
    await harness.fetch("delete from parked")


async def test_what_was_noted_with_another_setting_is_over(harness: CsHarness) -> None:
    """With a longer SETTLING, the slices that were noted before have higher numbers than any to come."""
    case = await harness.contacted()
    await harness.fetch(
        "insert into consumed_until (partition, slice, oldest) values (7, 10 ^ 12, $1)", case.respond_by - HOUR
    )
    try:
        assert await has_settled(harness, case, timedelta(seconds=30))
    finally:
        await harness.fetch("delete from consumed_until where partition = 7")


async def test_a_batch_that_takes_long_is_noted_at_its_end(harness: CsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next batch may bring an answer from within the 24 hours, however long this one has taken."""
    settling = harness.cases.settling = timedelta(seconds=0.2)
    case = await harness.contacted()

    async def slow(*_: Any) -> None:
        await asyncio.sleep(3 * settling.total_seconds())

    slowed: dict[Any, Any] = {**handlers.HANDLERS, OrderPaid: slow}
    monkeypatch.setattr(handlers, "HANDLERS", slowed)
    paid = OrderPaid(order_id=new_id(), buyer_id=new_id(), amount=1)
    await harness.deliver(paid, at=case.respond_by - HOUR)
    assert not await has_settled(harness, case, settling)
    await becomes(lambda: has_settled(harness, case, settling), True)


async def test_after_an_outage_publishers_get_as_long_as_it_took() -> None:
    """The pauses between their tries grow with the outage, so they may find the broker that much later."""
    stability, broker = BrokerStability(0.1), {"there": True}
    loop = asyncio.get_running_loop()

    async def connected() -> bool:
        return broker["there"]

    async def steady() -> bool:
        return stability.is_steady

    watching = asyncio.create_task(stability.watch(connected))
    try:
        await becomes(steady, True)
        broker["there"] = False
        await becomes(steady, False)
        await asyncio.sleep(0.5)
        broker["there"], back = True, loop.time()
        await becomes(steady, True)
        assert loop.time() - back > 0.5
    finally:
        watching.cancel()
