"""How cost grows with the size of the tables: few and many old orders, measured alternately."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lab.bench import meters, report
from lab.bench.old_orders import seed_old
from lab.bench.run import Run, RunFailed, RunFigures, check_snapshot
from lab.bench.variants import bench_servers, running

console = Console(highlight=False)


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
            console.print(f"{old:,} old orders, in {monotonic() - started:.0f} s")
            runs[old] = Run(servers, variant), variant
            await runs[old][0].warm_up(min(orders, 500), clients)
        for _ in range(repeats):
            for old, (run, _) in runs.items():
                figures[old].append(one := await run.measure(orders, clients))
                console.print(f"{old:,}: {one.sagas_per_second:g}/s, {one.cpu_ms_per_saga} ms CPU per saga")
        for old, (_, variant) in runs.items():
            await check_snapshot(variant)
            sizes_of = {name: await meters.sizes(url) for name, url in variant.databases.items()}
            many = figures[old]
            found.append(
                {
                    "old_orders": old,
                    "sagas_per_second": round(median(one.sagas_per_second for one in many), 1),
                    "cpu_ms_per_saga": round(median(one.cpu_ms_per_saga for one in many), 2),
                    "postgresql_mb": round(median(one.memory_mb["postgresql"] for one in many)),
                    "tables_mb": {name: round(size.tables) for name, size in sizes_of.items() if size.tables > 1},
                    "indexes_mb": {name: round(size.indexes) for name, size in sizes_of.items() if size.tables > 1},
                    "rows_scanned": sum(sum(one.scanned.values()) for one in many),
                }
            )
    for row in found:
        pairs = list(zip(figures[sizes[0]], figures[row["old_orders"]], strict=True))
        row["throughput_ratio"] = round(median(many.sagas_per_second / few.sagas_per_second for few, many in pairs), 2)
        row["cpu_ratio"] = round(median(many.cpu_ms_per_saga / few.cpu_ms_per_saga for few, many in pairs), 2)
    return found


def show(found: Sequence[dict[str, Any]]) -> None:
    """Prints a column for each number of old orders."""
    table = Table("old orders", *(f"{one['old_orders']:,}" for one in found))
    for name in list(found[0])[1:]:
        table.add_row(name.replace("_", " "), *(report.text_of(one[name]) for one in found))
    console.print(table)
    console.print(f"load average {os.getloadavg()[0]:.1f}")


def main(
    old: Annotated[str, typer.Option(help="Numbers of old orders.")] = "10000,1000000",
    orders: Annotated[int, typer.Option(min=10)] = 1500,
    clients: Annotated[int, typer.Option(min=1)] = 64,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    as_json: Annotated[Path | None, typer.Option("--json", help="A file for the figures.")] = None,
) -> None:
    """Measure how cost grows with the number of old orders."""
    try:
        found = asyncio.run(measure([int(one) for one in old.split(",")], orders, clients, repeats))
    except RunFailed as error:
        sys.exit(f"bench: {error}")
    show(found)
    if as_json:
        as_json.write_text(json.dumps(found, indent=1))
