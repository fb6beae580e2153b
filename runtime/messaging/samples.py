"""What every service samples: its outbox, its queues, its deadlines, its parked messages."""

from collections.abc import Awaitable, Callable
from typing import Any

from runtime.messaging import deadlines, outbox, parked
from runtime.messaging.partitioning import Consumers
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.observability.sampling import Rows, Sampler
from runtime.observability.telemetry import (
    DEADLINES_LATE,
    DEADLINES_OVERDUE,
    OUTBOX_AGE,
    OUTBOX_UNPUBLISHED,
    PARKED,
    QUEUE_MESSAGES,
)
from runtime.storage.database import Database


def query(database: Database, sql: str) -> Callable[[], Awaitable[Rows]]:
    """Reads the rows of a query, for a `Sampler`."""

    async def read() -> list[tuple[Any, ...]]:
        async with database.connection() as connection:
            return [tuple(row) for row in await connection.fetch(sql)]

    return read


def sample_runtime(sampler: Sampler, uow: UnitOfWork, consumers: Consumers | None) -> None:
    """Adds the samples to a service's own."""

    async def read_outbox() -> Rows:
        async with uow.database.connection() as connection:
            return [await outbox.waiting(connection, uow.held())]

    sampler.add(read_outbox, OUTBOX_UNPUBLISHED, OUTBOX_AGE, growing=[OUTBOX_AGE])
    sampler.add(query(uow.database, deadlines.OVERDUE), DEADLINES_OVERDUE, DEADLINES_LATE, growing=[DEADLINES_LATE])
    sampler.add(query(uow.database, parked.NOW_BY_ERROR), PARKED)
    if consumers is not None:
        sampler.add(consumers.waiting, QUEUE_MESSAGES)
