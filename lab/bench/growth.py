"""How cost grows with the size of the tables: few and many old orders, measured alternately."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from statistics import median
from time import monotonic
from typing import Annotated, Any

import typer

from lab.bench import meters, report
from lab.bench.old_orders import seed_old
from lab.bench.run import Run, RunFigures, check_snapshot
from lab.bench.variants import bench_servers, running


async def measure(sizes: Sequence[int], orders: int, clients: int, repeats: int) -> list[dict[str, Any]]:
    """The figures for each number of old orders, with all services. Raises `RunFailed`, `ServersMissing`."""
    figures: dict[int, list[RunFigures]] = {old: [] for old in sizes}
    found: list[dict[str, Any]] = []
    async with AsyncExitStack() as stack:
        runs = {}
        for old in sizes:
            servers = await stack.enter_async_context(bench_servers())
            variant = await stack.enter_async_context(running("all", servers))
            started = monotonic()
            await seed_old(variant.databases, old)
            report.console.print(f"{old:,} old orders, in {monotonic() - started:.0f} s")
            runs[old] = Run(servers, variant), variant
            await runs[old][0].warm_up(min(orders, 500), clients)
        for _ in range(repeats):
            for old, (run, _) in runs.items():
                figures[old].append(one := await run.measure(orders, clients))
                report.console.print(f"{old:,}: {one.sagas_per_second:g}/s, {one.cpu_ms_per_saga} ms CPU per saga")
        for old, (_, variant) in runs.items():
            await check_snapshot(variant)
            disk = {name: await meters.disk_space(url) for name, url in variant.databases.items()}
            many = figures[old]
            found.append(
                {
                    "old_orders": old,
                    "sagas_per_second": round(median(one.sagas_per_second for one in many), 1),
                    "cpu_ms_per_saga": round(median(one.cpu_ms_per_saga for one in many), 2),
                    "postgresql_mb": round(median(one.memory_mb["postgresql"] for one in many)),
                    "tables_mb": {name: round(tables) for name, (tables, _) in disk.items() if tables > 1},
                    "indexes_mb": {name: round(indexes) for name, (tables, indexes) in disk.items() if tables > 1},
                    "rows_scanned": sum(sum(one.scanned.values()) for one in many),
                }
            )
    for row in found:
        pairs = list(zip(figures[sizes[0]], figures[row["old_orders"]], strict=True))
        row["throughput_ratio"] = round(median(many.sagas_per_second / few.sagas_per_second for few, many in pairs), 2)
        row["cpu_ratio"] = round(median(many.cpu_ms_per_saga / few.cpu_ms_per_saga for few, many in pairs), 2)
    return found


def main(
    old: Annotated[str, typer.Option(help="Numbers of old orders.")] = "10000,1000000",
    orders: Annotated[int, typer.Option(min=10)] = 1500,
    clients: Annotated[int, typer.Option(min=1)] = 64,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    as_json: report.JsonFile = None,
) -> list[dict[str, Any]]:
    """Measure how cost grows with the number of old orders."""
    sizes = [int(one) for one in old.split(",")]
    return report.finish(asyncio.run(measure(sizes, orders, clients, repeats)), as_json)
