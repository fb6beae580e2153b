"""The cost of an event, by its size and by the size of the batches.

From the transaction that writes it, through outbox, relay, RabbitMQ and consumer, to its inbox row: the runtime only,
in one process, on private servers, with a handler that does nothing.
"""

import asyncio
from collections.abc import Sequence
from statistics import median
from time import monotonic, process_time
from typing import Annotated, Any

import typer
import uvloop

from lab.bench import meters, report
from lab.bench.variants import ROOT, bench_servers
from runtime.messaging import consumer, relay
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.messaging.consumer import BatchHandler, Consumer
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.relay import Relay
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.observability.trace_context import new_id
from runtime.storage import schema
from runtime.storage.database import Database

SIZES = (200, 1_000, 10_000, 100_000)
"""Bytes of an event's data."""
BATCHES = (1, 16, 64, 256)
REPEATS = 3


class Padded(Event, name="Padded", version=1, subject="thing", published_by=("orders",), consumed_by=("refunds",)):
    """An event of a given size."""

    thing: str
    text: str


async def measure(events: int) -> list[dict[str, Any]]:
    """The figures of all batch sizes with the usual event, and of all event sizes with the usual batch, alternately."""
    usual = SIZES[0], consumer.BATCH
    cases = list(dict.fromkeys([(usual[0], batch) for batch in BATCHES] + [(size, usual[1]) for size in SIZES]))
    found: dict[tuple[int, int], list[dict[str, float]]] = {case: [] for case in cases}
    async with bench_servers() as servers:
        databases = {name: Database(servers.postgres.url(name)) for name in ("orders", "refunds")}
        for name, database in databases.items():
            await database.connect()
            await schema.migrate(database, ROOT / "services" / name / "migrations")
        consumed = asyncio.Queue[int]()
        publisher, consumer_uow = UnitOfWork("orders", databases["orders"]), UnitOfWork("refunds", databases["refunds"])
        relaying = Relay("orders", databases["orders"], RabbitBus(servers.rabbitmq.url("orders"), "bench"), ["refunds"])
        publisher.wake_relay = relaying.wake

        async def consume(_: Transaction, same_type: Sequence[Envelope[Padded]]) -> None:
            consumed.put_nowait(len(same_type))

        receiving = Consumer(
            consumer_uow, RabbitBus(servers.rabbitmq.url("refunds"), "bench"), {Padded: BatchHandler(consume)}
        )
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(receiving.run()), group.create_task(relaying.run())]
            await _send(publisher, consumed, 500, SIZES[0])
            servers_of = [child.pid or 0 for child in (servers.postgres.child, servers.rabbitmq.child)]
            for _ in range(REPEATS):
                for size, batch in cases:
                    consumer.BATCH = relay.BATCH = batch
                    count = max(100, min(events, 20_000_000 // size))
                    started, ours, theirs = monotonic(), process_time(), sum(map(meters.cpu_seconds, servers_of))
                    await _send(publisher, consumed, count, size)
                    spent = process_time() - ours, sum(map(meters.cpu_seconds, servers_of)) - theirs
                    found[size, batch].append(
                        {
                            "events_per_second": count / (monotonic() - started),
                            "python_us": 1e6 * spent[0] / count,
                            "servers_us": 1e6 * spent[1] / count,
                        }
                    )
            for loop in loops:
                loop.cancel()
        for database in databases.values():
            await database.close()
    return [{"bytes": size, "batch": batch, **_medians(many)} for (size, batch), many in found.items()]


def _medians(many: Sequence[dict[str, float]]) -> dict[str, int]:
    return {name: round(median(one[name] for one in many)) for name in many[0]}


async def _send(uow: UnitOfWork, consumed: "asyncio.Queue[int]", count: int, size: int) -> None:
    """Publishes `count` events, 16 per transaction, and waits until all are consumed."""
    for first in range(0, count, 16):
        async with uow.begin() as tx:
            tx.publish(*(Padded(thing=str(new_id()), text="x" * size) for _ in range(min(16, count - first))))
    while count > 0:
        count -= await consumed.get()


def main(events: Annotated[int, typer.Option(min=100)] = 4000, as_json: report.JsonFile = None) -> list[dict[str, Any]]:
    """Measure the cost of an event, by its size and by the size of the batches."""
    return report.finish(uvloop.run(measure(events)), as_json)
