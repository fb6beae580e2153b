"""Saying once more that an order is cancelled, until it is heard that its money has arrived.

Outbox and inbox lose nothing that the broker keeps. This is for what it does not keep: a queue or a binding that
somebody deleted, a disk that is gone. `refunds` knows the cancellation again by its id, refunds it once, and says again
that it has.
"""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

from runtime.backoff import Backoff
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.observability.trace_context import start_context, use_context
from runtime.storage.database_errors import is_transient
from services.orders import store

AFTER = timedelta(minutes=5)
"""Until the first reminder; each further one takes twice as long, up to 21 hours."""
EVERY = 1 / 5
"""The part of that after which one looks again."""
AT_ONCE = 500
"""Cancellations that are looked at under one transaction."""

log = logging.getLogger(__name__)


async def remind(uow: UnitOfWork, after: timedelta) -> None:
    """Runs until it is cancelled. Of several replicas each reminds, and none twice of the same."""
    backoff = Backoff("PostgreSQL, to remind of refunds", log)
    while True:
        try:
            while await remind_once(uow, after) == AT_ONCE:
                continue
            backoff.reset()
            await asyncio.sleep(EVERY * after.total_seconds())
        except Exception as error:
            if not is_transient(error):
                log.exception("reminding failed")
            await backoff.wait(error)


async def remind_once(uow: UnitOfWork, after: timedelta) -> int:
    """Says again which paid orders are cancelled that have been waiting for too long, each in its own story; returns
    how many cancellations were looked at."""
    async with uow.begin() as tx:
        looked, unheard = await store.look_for_money(tx, after, AT_ONCE)
        for one in unheard:
            context = start_context()
            with use_context(replace(context, correlation_id=one.correlation_id or context.correlation_id)):
                tx.publish(one.cancelled)
    if unheard:
        log.warning("the refunds of %d cancelled orders are not heard to have arrived: said again", len(unheard))
    return looked
