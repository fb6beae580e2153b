"""Retention: deletes rows that are no longer needed."""

import asyncio
import logging
from collections.abc import Sequence

from runtime.backoff import Backoff
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database_errors import is_transient

EVERY = 30.0
"""Seconds between two runs."""
BATCH = 5_000
"""Rows that one statement deletes. After a long outage, all rows in one statement would exceed the statement
timeout."""
Kept = tuple[str, str]
"""A table with a column `at`, and the age above which its rows are deleted."""
KEPT: Sequence[Kept] = (
    ("inbox", "30 days"),
    ("event_log", "30 days"),
    ("failures", "30 days"),
    ("idempotency", "7 days"),
)
"""How long the ids of handled, published and failed events and the answers to keyed requests are kept: much longer than
a repeat can take."""

log = logging.getLogger(__name__)


async def run_retention(uow: UnitOfWork, kept: Sequence[Kept] = ()) -> None:
    """Runs until it is cancelled; `kept` are the service's own tables."""
    backoff = Backoff("PostgreSQL, for retention", log)
    while True:
        try:
            for table, age in (*KEPT, *kept):
                await delete_old(uow, table, age)
            backoff.reset()
            await asyncio.sleep(EVERY)
        except Exception as error:
            if not is_transient(error):
                log.exception("retention failed")
            await backoff.wait(error)


async def delete_old(uow: UnitOfWork, table: str, age: str) -> None:
    """Deletes the rows older than `age`, in batches of one transaction each."""
    old = f"select ctid from {table} where at < now() - interval '{age}' limit {BATCH}"  # noqa: S608
    deleted = BATCH
    while deleted == BATCH:
        async with uow.database.connection() as connection:
            done = await connection.execute(f"delete from {table} where ctid = any(array({old}))")  # noqa: S608
        deleted = int(done.split()[1])
