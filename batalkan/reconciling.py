"""`batalkan reconcile`: what a restored `refunds` has lost comes from `orders` and from DANA, and then it may pay.

This process only moves from step to step. The running services do the work: `orders` publishes, `refunds` consumes and
asks DANA. Interrupted, it leaves the hold; run again, it begins again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

import asyncpg

from batalkan.operate import connected, migrate, working
from runtime.errors import Refusal
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.storage.database_errors import is_lost
from services.orders.refund_reminders import republish
from services.refunds import hold as holds
from services.refunds.hold import Reconciled

AT_ONCE = 500
"""Cancellations that are published again before `refunds` has consumed the last ones."""
POLL = 0.1
SLOW = 10.0
"""Seconds between two lines that say what is waited for."""
LOCK = 0x0B0A7A8
T = TypeVar("T")


class AlreadyReconciling(Refusal):
    """Another process does it at this moment."""

    code, title = "already_reconciling", "another batalkan reconcile is running"


async def hold(urls: Mapping[str, str]) -> None:
    """Stops payments. Migrates the database, which may be older than the hold."""
    async with connected(urls["refunds"]):
        await migrate("refunds", urls["refunds"])
    async with working("refunds", urls) as refunds:
        await _committed(refunds, holds.begin)


async def reconcile(urls: Mapping[str, str], say: Callable[[str], object]) -> Reconciled:
    """Stops payments, has every cancellation published again and DANA asked, then lets `refunds` pay; returns what it
    found. `say` gets a line for each step. Raises `NothingRunning`, `AlreadyReconciling`."""
    async with _alone(urls["refunds"]), working("refunds", urls) as refunds, working("orders", urls) as orders:
        await hold(urls)
        last, published, given_up = UUID(int=0), 0, set[UUID]()
        since = await _now(refunds)
        while ids := await republish(orders, last, AT_ONCE):

            async def unsettled(tx: Transaction, ids: list[UUID] = ids, since: datetime = since) -> int:
                return len(await holds.unheard(tx, ids) - await holds.parked_since(tx, since))

            await _none_left(refunds, unsettled, "refunds has to consume {} cancellations", say)
            async with refunds.begin() as tx:
                given_up |= await holds.unheard(tx, ids)
            since = await _now(refunds)
            last, published = ids[-1], published + len(ids)
            say(f"{published} cancellations were published again")
        async with refunds.begin() as tx:
            refund_ids = await holds.hurry(tx)
        unasked = partial(holds.count_unasked, refund_ids=refund_ids)
        await _none_left(refunds, unasked, "DANA has to be asked about {} refunds", say)
        return await _committed(refunds, partial(holds.end, given_up=given_up))


async def _committed(uow: UnitOfWork, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Does the work in a transaction, and again when a conflict has rolled that back: the running services may lock
    the same refunds in another order."""
    while True:
        try:
            async with uow.begin() as tx:
                return await work(tx)
        except asyncpg.PostgresError as error:
            if not is_lost(error):
                raise


async def _now(uow: UnitOfWork) -> datetime:
    """The time at the database, which messages are parked by."""
    async with uow.begin() as tx:
        now: datetime = await tx.connection.fetchval("select now()")
    return now


@asynccontextmanager
async def _alone(url: str) -> AsyncIterator[None]:
    async with connected(url) as connection:
        if not await connection.fetchval("select pg_try_advisory_lock($1)", LOCK):
            raise AlreadyReconciling
        yield


async def _none_left(
    uow: UnitOfWork, count: Callable[[Transaction], Awaitable[int]], text: str, say: Callable[[str], object]
) -> None:
    """Waits until there is none."""
    waited = 0.0
    while True:
        async with uow.begin() as tx:
            left = await count(tx)
        if not left:
            return
        await asyncio.sleep(POLL)
        waited += POLL
        if waited >= SLOW:
            waited = 0.0
            say(text.format(left))
