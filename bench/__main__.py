"""`python -m bench`: the cancel saga measured against a bare reference and a library, taking turns on one machine."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from batalkan.servers import ServersMissing
from bench import report
from bench.run import Figures, Run, RunFailed
from bench.seed import seed_old
from bench.stage import running, stage

console = Console(highlight=False)


def main(
    orders: Annotated[int, typer.Option(min=10, help="Orders that are cancelled in a run.")] = 5000,
    clients: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="How often every variant gets its turn.")] = 3,
    variants: Annotated[str, typer.Option(help="Of batalkan, reference, library.")] = "batalkan,reference,library",
    short: Annotated[bool, typer.Option(help="About a minute: one small round.")] = False,
    half: Annotated[bool, typer.Option(help="Also latencies at half of the rate that batalkan can do.")] = False,
    old: Annotated[int, typer.Option(help="Delivered and refunded orders that fill the tables beforehand.")] = 0,
    replicas: Annotated[int, typer.Option(min=1, help="Processes of each of batalkan's services.")] = 1,
    profile: Annotated[Path | None, typer.Option(help="A folder for py-spy's samples of every process.")] = None,
    statements: Annotated[bool, typer.Option(help="List what PostgreSQL spent its time on.")] = False,
    as_json: Annotated[Path | None, typer.Option("--json", help="A file for all figures.")] = None,
) -> None:
    """Measures; exit code 1 when an invariant is broken, never because something was slow."""
    names = variants.split(",")
    if short:
        orders, rounds = min(orders, 500), 1
    if profile:
        profile.mkdir(parents=True, exist_ok=True)
    try:
        figures = asyncio.run(
            measure(names, orders, clients, rounds, half=half, old=old, replicas=replicas, profile=profile)
        )
    except (RunFailed, ServersMissing) as error:
        sys.exit(f"bench: {error}")
    loaded = [one for one in figures if not one.rate]
    report.show(console, loaded)
    for one in figures:
        if one.rate:
            console.print(f"at {one.rate:g} requests/s: HTTP {one.http_ms} ms, saga {one.saga_ms} ms ({one.variant})")
    if statements:
        for many in report.by_variant(loaded).values():
            report.show_statements(console, many[-1])
    if as_json:
        found = {"ratios": report.ratios(loaded), "runs": [asdict(one) for one in figures]}
        as_json.write_text(json.dumps(found, indent=1))


async def measure(
    names: list[str],
    orders: int,
    clients: int,
    rounds: int,
    *,
    half: bool = False,
    old: int = 0,
    replicas: int = 1,
    profile: Path | None = None,
) -> list[Figures]:
    """All rounds, on one set of servers. Raises `RunFailed`, `ServersMissing`."""
    found: list[Figures] = []
    async with stage() as servers:
        for number in range(rounds):
            for name in names:
                async with running(name, servers, replicas) as variant:
                    run = Run(servers, variant, number)
                    if old and number == 0:
                        await seed_old(variant.databases, old)
                    await run.warm_up(min(orders, 500), clients)
                    found.append(one := await run.measure(orders, clients, profile=profile))
                    if half and name == "batalkan":
                        rate = round(one.sagas_per_second / 2)
                        found.append(await run.measure(min(orders, rate * 10), clients, rate=rate))
                    await run.check()
                console.print(
                    f"round {number + 1}, {name}: {one.sagas_per_second:g}/s, {one.cpu_ms_per_saga} ms CPU per saga"
                )
    return found


if __name__ == "__main__":
    typer.run(main)
