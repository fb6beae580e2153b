"""A backlog: many orders are cancelled while `refunds` is stopped, which then starts.

    python -m lab.bench backlog [--events 100000] [--json FILE]

The cancellations are written as `orders` writes them, with events in its outbox. The benchmark measures how fast the
relay publishes them, how fast `refunds` handles them until every order shows its refund, and the memory meanwhile. It
ends with a check of the invariants.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import aiormq
import typer
from rich.console import Console

from lab.bench import meters, report
from lab.bench.run import RunFailed, check_snapshot
from lab.bench.seed import LINES, PRICE, PRODUCTS_OF_SELLERS, fill, moment
from lab.bench.variants import Variant, bench_servers, running
from runtime.storage.database import connect

TIMEOUT = 600.0
"""Seconds for each step."""
CHUNK = 50_000
CANCELLED = (
    PRODUCTS_OF_SELLERS,
    "insert into orders (order_id, buyer_id, seller_id, status, lines, total, payment_method, paid_amount, placed_at, "
    f"version) select order_id, buyer_id, seller_id, 'cancelled', {LINES}, {PRICE}, 'bank_transfer', {PRICE}, at, 3 "
    "from numbered",
    "insert into order_history (order_id, version, status, at) "
    "select order_id, version, status, at + version * interval '1 second' from numbered, "
    "(values (1, 'unpaid'), (2, 'processing'), (3, 'cancelled')) as step (version, status)",
    "insert into cancellations (order_id, cancellation_id, seller_id, channel, requested_by, role, reason, fault, at) "
    "select order_id, cancellation_id, seller_id, 'app', buyer_id, 'buyer', 'changed_mind', 'buyer', "
    "at + interval '3 seconds' from numbered",
    "insert into event_sequence (subject, last) select order_id::text, 3 from numbered",
    "insert into outbox (event_id, type, subject, dataschema, routing_key, mandatory, correlation_id, causation_id, "
    "traceparent, data, sequence, time) select pg_temp.id(at, 'event' || n), 'OrderCancelled', order_id::text, "
    "'urn:batalkan:event:OrderCancelled:1', 'orders.OrderCancelled', true, order_id, order_id, "
    "'00-' || repeat('a', 32) || '-' || repeat('b', 16) || '-01', jsonb_build_object('cancellation_id', "
    "cancellation_id, 'order_id', order_id, 'buyer_id', buyer_id, 'seller_id', seller_id, 'channel', 'app', "
    f"'paid_amount', {PRICE}, 'fault', 'buyer')::text, 3, now() from numbered order by n",
)

console = Console(highlight=False)


async def measure(events: int) -> dict[str, Any]:
    """The figures. Raises `RunFailed`, `ServersMissing`."""
    async with bench_servers() as servers, running("core", servers) as variant:
        processes = variant.processes
        assert processes is not None
        await processes.stop("refunds")
        # Recent: `orders` publishes older cancellations without a refund again.
        began, step = await moment(variant.databases), timedelta(minutes=1) / events
        started = monotonic()
        for done in range(0, events, CHUNK):
            last = min(done + CHUNK, events) - 1
            await fill(
                variant.databases["orders"], CANCELLED, done, last, began + done * step - timedelta(minutes=1), step
            )
        queue = await aiormq.connect(servers.rabbitmq.admin_url)
        channel = await queue.channel()

        async def waiting() -> int:
            declared = await channel.queue_declare("refunds", passive=True)
            return declared.message_count or 0

        queued = await _until(waiting, events) - started
        await queue.close()
        cpu = _cpu(variant)
        await processes.start("refunds")
        pid = processes.watched["refunds"].child.pid
        assert pid
        started, memory = monotonic(), [meters.memory(pid)]

        async def shown() -> int:
            memory.append(meters.memory(pid))
            return await _count(variant.databases["orders"], "order_refunds")

        shown_after = await _until(shown, events) - started
        spent = sum(_cpu(variant).values()) - sum(cpu.values())
        await check_snapshot(variant)
    return {
        "events": events,
        "relayed_per_second": round(events / queued),
        "drained_per_second": round(events / shown_after),
        "cpu_ms_per_event": round(1000 * spent / events, 3),
        "refunds_memory_mb": [round(memory[len(memory) * part // 4]) for part in range(4)] + [round(memory[-1])],
        "load_average": round(os.getloadavg()[0], 1),
    }


def _cpu(variant: Variant) -> dict[str, float]:
    """Processor seconds of orders and refunds; a stopped process has 0."""
    assert variant.processes is not None
    pids = {name: variant.processes.watched[name].child.pid for name in ("orders", "refunds")}
    return {name: meters.cpu_seconds(pid) if pid else 0.0 for name, pid in pids.items()}


async def _count(url: str, table: str) -> int:
    connection = await connect(url)
    try:
        count: int = await connection.fetchval(f"select count(*) from {table}")
        return count
    finally:
        await connection.close()


async def _until(done: Callable[[], Awaitable[int]], wanted: int) -> float:
    """The time at which the count was reached. Raises `RunFailed` after TIMEOUT."""
    end = monotonic() + TIMEOUT
    while (so_far := await done()) < wanted:
        if monotonic() > end:
            raise RunFailed(f"only {so_far} of {wanted} after {TIMEOUT:g} s")
        await asyncio.sleep(1)
    return monotonic()


def show(figures: dict[str, Any]) -> None:
    """Prints the figures as a table."""
    report.show_figures(console, "a backlog of cancellations", figures)


def main(
    events: Annotated[int, typer.Option(min=1000)] = 100_000,
    as_json: Annotated[Path | None, typer.Option("--json", help="A file for the figures.")] = None,
) -> None:
    """Handle a backlog of cancellations. Exit code 1 if an invariant is broken."""
    try:
        figures = asyncio.run(measure(events))
    except RunFailed as error:
        sys.exit(f"bench: {error}")
    show(figures)
    if as_json:
        as_json.write_text(json.dumps(figures, indent=1))
