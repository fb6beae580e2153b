"""Two transactions of `orders` at a chosen moment of each other: what one has read, and what it waits for."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asyncpg.pool import PoolConnectionProxy

from batalkan.keys import Keys
from runtime.storage import database
from services.orders import refund_status, store
from services.orders.main import SPEC
from services.orders.refund_reminders import remind_once, republish
from tests.conftest import Databases
from tests.harness.actors import assert_problem
from tests.harness.orders import OrdersHarness, Sale, a_request, open_harness
from tests.harness.publishing import publish_as
from tests.harness.waiting import Gate, becomes, blocked
from tests.orders.test_parts import bought, taken


@pytest.fixture
async def hasty(
    embedded_databases: Databases, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OrdersHarness]:
    """The service, which waits half a second for a statement, or for a lock as long as it is allowed to."""
    monkeypatch.setattr(database, "COMMAND_TIMEOUT", 0.5)
    monkeypatch.setattr(database, "LOCK_TIMEOUT", 0.6)
    async with (
        embedded_databases.lent() as lent,
        open_harness(await lent.migrated("orders", SPEC.migrations), keys) as harness,
    ):
        yield harness


async def test_a_part_after_the_order_was_read(harness: OrdersHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that commits after any statement of the buyer's reading gives its pieces back once."""
    sale, other = await bought(harness)
    await taken(sale, (sale.product, 1))
    fetch = PoolConnectionProxy.fetchrow
    done: list[bool] = []

    async def and_a_part(self: Any, query: str, *arguments: Any) -> Any:
        row = await fetch(self, query, *arguments)
        if "from orders o" in query and not done:
            done.append(True)
            await taken(sale, (sale.product, 1))
        return row

    monkeypatch.setattr(PoolConnectionProxy, "fetchrow", and_a_part)
    assert (await sale.buyer.post(f"{sale.path}/cancel"))["status"] == "cancelled"
    assert done
    assert (await harness.stock(sale.product), await harness.stock(other)) == (10, 10)
    order = UUID(sale.order_id)
    assert await harness.fetch("select sum(pieces)::int from cancellations where order_id = $1", order) == [(4,)]


async def test_requests_in_a_batch_against_reminders(
    harness: OrdersHarness, deadlocks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of requests numbers its events by subject, as reminders do, and not as they came."""
    sales = sorted([(await bought(harness))[0] for _ in range(2)], key=lambda sale: sale.order_id)
    for sale in sales:
        await taken(sale, (sale.product, 1))  # a refund that is outstanding
    gate = Gate(monkeypatch, store, "cancel", 2)
    asked = [a_request(sale, "chat") for sale in reversed(sales)]
    consuming = asyncio.create_task(publish_as(harness.recorder.bus, "chat", *asked))
    await gate.reached.wait()
    reminding = asyncio.create_task(remind_once(harness.service.uow, timedelta(microseconds=1)))
    await asyncio.wait({reminding}, timeout=0.5)  # it waits for a lock, or is done
    gate.opened.set()
    await asyncio.gather(consuming, reminding)
    assert deadlocks == []


async def test_a_buyers_statement_between_a_request_and_reminders(
    harness: OrdersHarness, deadlocks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement that cancels locks the stock before it numbers its events."""
    buyer, seller = harness.buyer(), harness.seller()
    product = await harness.product(seller)
    sales = []
    for _ in range(2):
        order = await harness.order(buyer, product, quantity=2)
        sales.append(Sale(buyer, seller, product, order["order_id"]))
        await buyer.post(f"{sales[-1].path}/pay")
        await taken(sales[-1], (product, 1))
    by_seller, by_buyer = sorted(sales, key=lambda sale: sale.order_id)
    gate = Gate(monkeypatch, store, "cancel")
    consuming = asyncio.create_task(publish_as(harness.recorder.bus, "chat", a_request(by_seller, "chat")))
    await gate.reached.wait()
    buying = asyncio.create_task(buyer.ask("POST", f"{by_buyer.path}/cancel"))
    await blocked(harness.fetch)
    reminding = asyncio.create_task(remind_once(harness.service.uow, timedelta(microseconds=1)))
    await asyncio.wait({reminding}, timeout=0.5)
    gate.opened.set()
    await asyncio.gather(consuming, reminding, buying)
    assert deadlocks == []


async def test_repeated_requests_against_a_repetition(
    harness: OrdersHarness, deadlocks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that are repeated in a batch lock their cancellations in the order of their ids, as a repetition of all
    does."""
    sales = [await harness.sold() for _ in range(2)]
    asked = [await harness.request(sale) for sale in sales]
    for sale in sales:
        await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    asked.sort(key=lambda one: one.cancellation_id, reverse=True)
    gate = Gate(monkeypatch, refund_status, "note_published_again")
    consuming = asyncio.create_task(publish_as(harness.recorder.bus, "chat", *asked))
    await gate.reached.wait()
    repeating = asyncio.create_task(republish(harness.service.uow, UUID(int=0), 500))
    await asyncio.wait({repeating}, timeout=0.5)
    gate.opened.set()
    await asyncio.gather(consuming, repeating)
    assert deadlocks == []


async def test_history_goes_forward(harness: OrdersHarness) -> None:
    """An order that is packed while a batch waits for another order is cancelled after that, also by its times."""
    first, second = sorted([await harness.sold() for _ in range(2)], key=lambda sale: sale.order_id)
    async with harness.service.uow.begin() as tx:
        await store.lock(tx, UUID(first.order_id))
        asked = [a_request(sale, "chat") for sale in (first, second)]
        consuming = asyncio.create_task(publish_as(harness.recorder.bus, "chat", *asked))
        await blocked(harness.fetch)
        await second.seller.post(f"{second.path}/pack")
    await consuming
    await harness.recorder.wait_for(second.order_id, "OrderCancelled")
    times = [step["at"] for step in (await second.seen())["history"]]
    assert times == sorted(times)


async def test_a_refused_cancellation_does_not_come_later(hasty: OrdersHarness) -> None:
    """A buyer who got 503, because the order was locked, finds it as it was when the lock is free."""
    sale = await hasty.sold()
    async with hasty.service.uow.begin() as tx:
        await store.lock(tx, UUID(sale.order_id))
        assert_problem(await sale.buyer.ask("POST", f"{sale.path}/cancel"), 503, "database_unavailable")
        await asyncio.sleep(0.5)
    await asyncio.sleep(0.5)
    assert (await sale.seen())["status"] == "processing"


async def test_a_locked_order_delays_no_other_orders_deadline(hasty: OrdersHarness) -> None:
    """While one order is locked, its deadline is postponed, and that of another one fires."""
    stuck, free = await hasty.sold("unpaid"), await hasty.sold("unpaid")

    async def status() -> str:
        return str((await free.seen())["status"])

    async with hasty.service.uow.begin() as tx:
        await store.lock(tx, UUID(stuck.order_id))
        for sale in (stuck, free):  # the earlier one is the first
            await hasty.fetch("update deadlines set due_at = clock_now() where subject = $1", sale.order_id)
        await becomes(status, "cancelled")
