"""Retention: deletes rows that are no longer needed."""

import asyncio
from collections.abc import Sequence

from runtime.backoff import unevenly
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.repeating import repeat

EVERY = 30.0
"""Seconds until the next run, and before the first one: a service that starts has other things to do."""
IDLE = 300.0
"""Seconds until the next run after one that has found nothing."""
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


async def run_retention(uow: UnitOfWork, kept: Sequence[Kept] = ()) -> None:
    """Runs until it is cancelled; `kept` are the service's own tables."""
    pause = EVERY

    async def delete_all() -> None:
        nonlocal pause
        deleted = [await delete_old(uow, table, age) for table, age in (*KEPT, *kept)]
        pause = EVERY if any(deleted) else IDLE

    await asyncio.sleep(unevenly(EVERY))
    await repeat("delete old rows", delete_all, lambda: asyncio.sleep(unevenly(pause)))


async def delete_old(uow: UnitOfWork, table: str, age: str) -> int:
    """Deletes the rows older than `age`, in batches of one transaction each; returns how many."""
    old = f"select ctid from {table} where at < now() - interval '{age}' limit {BATCH}"  # noqa: S608
    deleted, batch = 0, BATCH
    while batch == BATCH:
        async with uow.database.connection() as connection:
            done = await connection.execute(f"delete from {table} where ctid = any(array({old}))")  # noqa: S608
        batch = int(done.split()[1])
        deleted += batch
    return deleted
