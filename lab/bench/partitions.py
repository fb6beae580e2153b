"""The throughput of a consumer in 1, 2, 4 and 8 partitions, and its CPU time for each event.

From RabbitMQ's queues to the inbox: the runtime only, in one process, on private servers. The handler takes 20 ms for a
batch, as one does that waits for another system; batches are small, so that two cores can feed eight partitions.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic, process_time
from typing import Annotated, Any

import typer
import uvloop

from lab.bench import meters, report
from lab.bench.messages import Padded
from lab.bench.variants import ROOT, bench_servers
from runtime.messaging import consumer, partitioning
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.messaging.consumer import BatchHandler
from runtime.messaging.envelope import Envelope
from runtime.messaging.partitioning import Consumers
from runtime.messaging.relay import Relay
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.observability.trace_context import new_id
from runtime.storage import schema
from runtime.storage.database import Database

COUNTS = (1, 2, 4, 8)
BATCH = 8
WAITS = 0.02
"""Seconds that the handler takes for a batch."""
WARM, MEASURED = 0.2, 0.6
"""Shares of the backlog: before the measurement, and in it. At the end some partitions are empty."""


async def measure(events: int) -> list[dict[str, Any]]:
    """The figures of each number of partitions, with `events` in each partition."""
    async with bench_servers() as servers:
        databases = {name: Database(servers.postgres.url(name)) for name in ("orders", "refunds")}
        for name, database in databases.items():
            await database.connect()
            await schema.migrate(database, ROOT / "services" / name / "migrations")
        pids = [child.pid or 0 for child in (servers.postgres.child, servers.rabbitmq.child)]
        publisher, uow = UnitOfWork("orders", databases["orders"]), UnitOfWork("refunds", databases["refunds"])
        relay = Relay("orders", databases["orders"], RabbitBus(servers.rabbitmq.url("orders"), "bench"), ["refunds"])
        publisher.wake_relay = relay.wake
        bus = RabbitBus(servers.rabbitmq.url("refunds"), "bench")
        consumer.BATCH = BATCH
        found = []
        async with asyncio.TaskGroup() as group:
            relaying = group.create_task(relay.run())
            for count in COUNTS:
                found.append(await _measure_one(publisher, uow, bus, pids, count, events * count))
            relaying.cancel()
        for database in databases.values():
            await database.close()
    return [{**one, "times": round(one["events_per_second"] / found[0]["events_per_second"], 2)} for one in found]


async def _moved(database: Database, count: int) -> None:
    """Waits until the service consumes `count` partitions."""
    moves = True
    while moves:
        await asyncio.sleep(0.1)
        async with database.connection() as connection:
            state = await partitioning.read(connection)
        moves = state is None or state.current != count or state.moves


async def _measure_one(
    publisher: UnitOfWork, uow: UnitOfWork, bus: RabbitBus, pids: Sequence[int], count: int, events: int
) -> dict[str, Any]:
    """Fills the queues while the handlers are held, and measures how the backlog is handled."""
    begun, handled, changed = asyncio.Event(), 0, asyncio.Condition()

    async def handle(tx: Transaction, same_type: Sequence[Envelope[Padded]]) -> None:
        nonlocal handled
        await begun.wait()
        await asyncio.sleep(WAITS)
        async with changed:
            handled += len(same_type)
            changed.notify_all()

    async def until(share: float) -> tuple[float, float, float]:
        async with changed:
            await changed.wait_for(lambda: handled >= share * events)
        return monotonic(), process_time(), sum(map(meters.cpu_seconds, pids))

    consuming = asyncio.create_task(Consumers(uow, bus, {Padded: BatchHandler(handle)}, count).run())
    async with asyncio.timeout(60):
        await _moved(uow.database, count)
    for _ in range(events // 100):
        async with publisher.begin() as tx:
            tx.publish(*(Padded(thing=str(new_id()), text="x" * 200) for _ in range(100)))
    async with asyncio.timeout(120):
        left = 1
        while left:
            await asyncio.sleep(0.1)
            async with publisher.database.connection() as connection:
                left = await connection.fetchval("select count(*) from outbox")
    begun.set()
    before, after = await until(WARM), await until(WARM + MEASURED)
    await until(1)
    consuming.cancel()
    await asyncio.wait({consuming})
    seconds, ours, theirs = (later - earlier for earlier, later in zip(before, after, strict=True))
    return {
        "partitions": count,
        "events_per_second": round(MEASURED * events / seconds),
        "cpu_us": round(1e6 * (ours + theirs) / (MEASURED * events)),
    }


def main(events: Annotated[int, typer.Option(min=100)] = 1500, as_json: report.JsonFile = None) -> list[dict[str, Any]]:
    """Measure the throughput in 1, 2, 4 and 8 partitions."""
    return report.finish(uvloop.run(measure(events)), as_json)
