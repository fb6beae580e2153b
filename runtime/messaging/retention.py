"""Forgetting what is no longer needed, and counting what waits."""

import asyncio
import logging

from runtime.backoff import Backoff
from runtime.messaging import outbox
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database_errors import is_transient

EVERY = 30.0
"""Seconds between two rounds."""
BATCH = 5_000
"""Rows that one statement deletes at the most: after a long outage, or where nothing was deleted before, all of them
together would take longer than a statement may."""
REMEMBERED = ("inbox", "30 days"), ("failures", "30 days"), ("idempotency", "7 days")
"""How long the ids of handled and failed events and the answers to keyed requests are kept: far longer than any of
them comes again."""

log = logging.getLogger(__name__)


async def run_retention(uow: UnitOfWork) -> None:
    """Runs until it is cancelled."""
    backoff = Backoff("PostgreSQL, to keep house", log)
    while True:
        try:
            async with uow.database.connection() as connection:
                await outbox.count(connection, uow.service, uow.held())
            for table, age in REMEMBERED:
                await forget(uow, table, age)
            backoff.reset()
            await asyncio.sleep(EVERY)
        except Exception as error:
            if not is_transient(error):
                log.exception("housekeeping failed")
            await backoff.wait(error)


async def forget(uow: UnitOfWork, table: str, age: str) -> None:
    """Deletes what is older than `age`, a batch in each transaction."""
    old = f"select ctid from {table} where at < now() - interval '{age}' limit {BATCH}"  # noqa: S608
    deleted = BATCH
    while deleted == BATCH:
        async with uow.database.connection() as connection:
            done = await connection.execute(f"delete from {table} where ctid = any(array({old}))")  # noqa: S608
        deleted = int(done.split()[1])
