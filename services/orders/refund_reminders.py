"""Publishes cancellations again until their refund is known to have arrived.

Outbox and inbox lose nothing that the broker keeps. This covers what the broker loses: a deleted queue or binding, a
lost disk. `refunds` recognises the cancellation by its id, refunds it once, and publishes `RefundIssued` again.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.observability.trace_context import use_context
from runtime.repeating import repeat
from services.orders.refund_status import Repeated, take_all, take_outstanding

AFTER = timedelta(minutes=5)
"""Until the first reminder; the wait doubles with each further one, up to 21 hours."""
EVERY = 1 / 5
"""The part of `AFTER` between two checks."""
AT_ONCE = 500
"""Cancellations that are published again in one transaction."""

log = logging.getLogger(__name__)


async def remind(uow: UnitOfWork, after: timedelta) -> None:
    """Runs until it is cancelled. Replicas share the work: each reminder is sent once."""

    async def remind_all() -> None:
        while await remind_once(uow, after) == AT_ONCE:
            continue

    await repeat("remind of refunds", remind_all, lambda: asyncio.sleep(EVERY * after.total_seconds()))


async def remind_once(uow: UnitOfWork, after: timedelta) -> int:
    """Publishes overdue cancellations again, each with its own correlation id; returns how many."""
    async with uow.begin() as tx:
        outstanding = await take_outstanding(tx, after, AT_ONCE)
        _publish(tx, outstanding)
    if outstanding:
        log.warning("%d refunds are not known to have arrived; the cancellations are published again", len(outstanding))
    return len(outstanding)


async def republish(uow: UnitOfWork, after: UUID, limit: int) -> list[UUID]:
    """Publishes cancellations with a refund again, also where it has arrived, with what is known of it: those behind
    `after` in the order of their ids, at most `limit`; returns their ids."""
    async with uow.begin() as tx:
        cancellations = await take_all(tx, after, limit)
        _publish(tx, cancellations)
    return [one.cancelled.cancellation_id for one in cancellations]


def _publish(tx: Transaction, cancellations: Sequence[Repeated]) -> None:
    for one in cancellations:
        context = tx.new_trace("remind")
        with use_context(replace(context, correlation_id=one.correlation_id or context.correlation_id)):
            tx.publish(one.cancelled)
