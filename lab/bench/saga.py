"""The cancel saga, compared with a bare reference and FastStream, alternately on one machine."""

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.bench import report
from lab.bench.old_orders import seed_old
from lab.bench.run import Run, RunFigures, check_snapshot
from lab.bench.variants import BATALKAN, bench_servers, running

VARIANTS = "core,all,reference,faststream"
SECONDS_AT_HALF = 20
"""Long enough that the 99th percentile is not one checkpoint of a server."""


def main(
    context: typer.Context,
    orders: Annotated[int, typer.Option(min=10, help="Orders per run.")] = 3000,
    clients: Annotated[int, typer.Option(min=1, help="Concurrent requests.")] = 64,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each variant, alternately.")] = 3,
    variants: Annotated[str, typer.Option(help="The variants, in this order.")] = VARIANTS,
    short: Annotated[bool, typer.Option(help="About a minute: one small run each, without faststream.")] = False,
    half: Annotated[bool, typer.Option(help="Also latencies at half of the reached rate, for 20 s.")] = False,
    old: Annotated[int, typer.Option(help="Old orders to seed before.")] = 0,
    replicas: Annotated[int, typer.Option(min=1, help="Processes of each of Batalkan's services.")] = 1,
    profile: Annotated[Path | None, typer.Option(help="A folder for py-spy's samples of every process.")] = None,
    statements: Annotated[bool, typer.Option(help="List the statements that cost PostgreSQL most.")] = False,
    as_json: report.JsonFile = None,
) -> None:
    """Measure the cancel saga. Exit code 1 if an invariant is broken, never because of a time."""
    if context.invoked_subcommand:
        return
    names = variants.split(",")
    if short:  # the installation of faststream alone takes a minute
        orders, repeats, names = min(orders, 500), 1, [name for name in names if name != "faststream"]
    if profile:
        profile.mkdir(parents=True, exist_ok=True)
    options = {"half": half, "old": old, "replicas": replicas, "profile": profile}
    found = run(names, orders, clients, repeats, statements=statements, **options)
    if as_json:
        as_json.write_text(json.dumps(found, indent=1))


def run(
    names: list[str], orders: int, clients: int, repeats: int, *, statements: bool = False, **options: Any
) -> dict[str, Any]:
    """Measures, and prints the tables. The figures as JSON values; `options`: `measure`."""
    figures = asyncio.run(measure(names, orders, clients, repeats, **options))
    loaded = [one for one in figures if not one.rate]
    report.show_runs(loaded)
    for one in figures:
        if one.rate:
            print(f"{one.variant} at {one.rate:g} requests/s: HTTP {one.http_ms} ms, saga {one.saga_ms} ms")
    if statements:
        for runs in report.by_variant(loaded).values():
            report.show_statements(runs[-1])
    return {"ratios": report.ratios(loaded), "runs": [asdict(one) for one in figures]}


async def measure(
    names: list[str],
    orders: int,
    clients: int,
    repeats: int,
    *,
    half: bool = False,
    old: int = 0,
    replicas: int = 1,
    profile: Path | None = None,
) -> list[RunFigures]:
    """Runs all variants alternately on one set of servers. Raises `RunFailed`, `ServersMissing`."""
    found: list[RunFigures] = []
    filled: set[str] = set()
    async with bench_servers() as servers:
        for number in range(repeats):
            for name in names:
                async with running(name, servers, replicas) as variant:
                    run = Run(servers, variant, number)
                    if old and not filled & set(variant.databases.values()):
                        await seed_old(variant.databases, old)
                        filled |= set(variant.databases.values())
                    await run.warm_up(min(orders, 500), clients)
                    found.append(one := await run.measure(orders, clients, profile=profile))
                    if half and name in BATALKAN:
                        rate = round(one.sagas_per_second / 2)
                        found.append(await run.measure(rate * SECONDS_AT_HALF, clients, rate=rate))
                    await check_snapshot(variant)
                print(
                    f"run {number + 1}, {name}: {one.sagas_per_second:g}/s, {one.cpu_ms_per_saga} ms CPU per saga, "
                    f"load average {os.getloadavg()[0]:.1f}"
                )
    return found
