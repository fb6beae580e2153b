"""A backlog: many orders are cancelled while `refunds` is stopped, which then starts.

The cancellations are written as `orders` writes them, with events in its outbox. The benchmark measures how fast the
relay publishes them, how fast `refunds` handles them until every order shows its refund, and the memory meanwhile. It
ends with a check of the invariants.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Annotated, Any

import aiormq
import typer

from batalkan.operate import connected
from batalkan.processes import Processes
from lab.bench import meters, report, seed
from lab.bench.run import RunFailed, check_snapshot
from lab.bench.seed import PRICE, PRODUCTS_OF_SELLERS, TRACEPARENT
from lab.bench.variants import bench_servers, running

TIMEOUT = 600.0
"""Seconds for each step."""
CHUNK = 50_000
CANCELLED = (
    PRODUCTS_OF_SELLERS,
    seed.orders("'cancelled'", "3"),
    seed.history("(values (1, 'unpaid'), (2, 'processing'), (3, 'cancelled')) as step (version, status)"),
    seed.cancellations(),
    seed.sequences("3"),
    "insert into outbox (event_id, type, subject, dataschema, routing_key, mandatory, correlation_id, causation_id, "
    "traceparent, data, sequence, time) select pg_temp.id(at, 'event' || n), 'OrderCancelled', order_id::text, "
    "'urn:batalkan:event:OrderCancelled:1', 'orders.OrderCancelled', true, order_id, order_id, "
    f"{TRACEPARENT}, jsonb_build_object('cancellation_id', cancellation_id, 'order_id', order_id, "
    "'buyer_id', buyer_id, 'seller_id', seller_id, 'channel', 'app', "
    f"'paid_amount', {PRICE}, 'fault', 'buyer')::text, 3, now() from numbered order by n",
)


async def measure(events: int) -> dict[str, Any]:
    """The figures. Raises `RunFailed`, `ServersMissing`."""
    async with bench_servers() as servers, running("core", servers) as variant:
        assert variant.deployment
        processes = variant.deployment.processes
        await processes.stop("refunds")
        # Recent: `orders` publishes older cancellations without a refund again.
        began, step = await seed.moment(variant.databases), timedelta(minutes=1) / events
        started = monotonic()
        for done in range(0, events, CHUNK):
            last = min(done + CHUNK, events) - 1
            at = began + done * step - timedelta(minutes=1)
            await seed.fill(variant.databases["orders"], CANCELLED, done, last, at, step)
        queue = await aiormq.connect(servers.rabbitmq.admin_url)
        channel = await queue.channel()

        async def waiting() -> int:
            declared = await channel.queue_declare("refunds", passive=True)
            return declared.message_count or 0

        queued = await _until(waiting, events) - started
        await queue.close()
        spent = _cpu(processes)
        await processes.start("refunds")
        pid = processes.watched["refunds"].child.pid
        assert pid
        started, memory = monotonic(), [meters.memory(pid)]

        async def shown() -> int:
            memory.append(meters.memory(pid))
            async with connected(variant.databases["orders"]) as connection:
                return int(await connection.fetchval("select count(*) from cancellations where refund_id is not null"))

        shown_after = await _until(shown, events) - started
        spent = _cpu(processes) - spent
        await check_snapshot(variant)
    return {
        "events": events,
        "relayed_per_second": round(events / queued),
        "drained_per_second": round(events / shown_after),
        "cpu_ms_per_event": round(1000 * spent / events, 3),
        "refunds_memory_mb": [round(memory[len(memory) * part // 4]) for part in range(4)] + [round(memory[-1])],
        "load_average": round(os.getloadavg()[0], 1),
    }


def _cpu(processes: Processes) -> float:
    """Processor seconds of orders and refunds; a stopped process has none."""
    pids = [processes.watched[name].child.pid for name in ("orders", "refunds")]
    return sum(meters.cpu_seconds(pid) for pid in pids if pid)


async def _until(done: Callable[[], Awaitable[int]], wanted: int) -> float:
    """The time at which the count was reached. Raises `RunFailed` after TIMEOUT."""
    end = monotonic() + TIMEOUT
    while (so_far := await done()) < wanted:
        if monotonic() > end:
            raise RunFailed(f"only {so_far} of {wanted} after {TIMEOUT:g} s")
        await asyncio.sleep(1)
    return monotonic()


def main(events: Annotated[int, typer.Option(min=1000)] = 100_000, as_json: report.JsonFile = None) -> dict[str, Any]:
    """Handle a backlog of cancellations. Exit code 1 if an invariant is broken."""
    return report.finish(asyncio.run(measure(events)), as_json, "a backlog of cancellations")
