"""The command line of the fault laboratory. It belongs to the source, not to the package."""

import json
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lab.faults import mutations, scenarios
from lab.faults.runner import Outcome, Report, numbers_of, run
from lab.faults.system import open_lab_system
from runtime.shutdown.signals import run_to_end

app = typer.Typer(no_args_is_help=True, help="The fault laboratory: breaks a running system and checks the invariants.")
console = Console(highlight=False)

ALL = "all"
SHOWN, LETTERS = 8, 400
"""Sentences of a failed run that are printed, and characters of each; the report has all."""
FAILED, LAB_FAILED, NOT_RUN = 1, 3, 4
"""Exit codes: an invariant is broken; the laboratory itself failed; this machine lacks a program for a scenario."""

Seed = Annotated[
    int | None, typer.Option(help="The seed of all random choices; by default a random one, which is printed.")
]
Folder = Annotated[
    Path | None, typer.Option("--keep", help="The folder for histories and reports; by default a temporary one.")
]


@app.command("list")
def list_scenarios() -> None:
    """List the scenarios, with what each does and what must hold."""
    for name in scenarios.NAMES:
        text = " ".join((scenarios.scenario(name).__doc__ or "").split())
        console.print(f"[bold]{name}[/bold]  {text}", soft_wrap=True)


@app.command("run")
def run_scenarios(
    names: Annotated[list[str], typer.Argument(help="Names of scenarios, or `all`.")],
    seed: Seed = None,
    long: Annotated[bool, typer.Option("--long/--short", help="The full numbers, or those of `make test`.")] = False,
    numbers: Annotated[
        list[str] | None, typer.Option("--set", help="Overrides a number of the form, such as sagas=500.")
    ] = None,
    folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each run.")] = False,
) -> None:
    """Run scenarios on private servers. Exit code 1: an invariant is broken. 3: the laboratory itself failed.
    4: this machine lacks a program for a scenario, and the others held."""
    wanted = list(scenarios.NAMES) if names == [ALL] else names
    if unknown := set(wanted) - set(scenarios.NAMES):
        raise typer.BadParameter(
            f"unknown: {', '.join(sorted(unknown))}; the scenarios are {', '.join(scenarios.NAMES)}"
        )
    folder = folder or Path(tempfile.mkdtemp(prefix="batalkan-faults-"))
    changed = _numbers(wanted, numbers or (), long)
    reports = run_to_end(_run(wanted, seed, long, folder, as_json, changed), "faults")
    raise typer.Exit(_exit_code(reports))


@app.command("mutations")
def run_mutations(
    names: Annotated[list[str] | None, typer.Argument(help="Words of their names; by default all mutations.")] = None,
    seed: Seed = None,
    folder: Folder = None,
) -> None:
    """Remove the safeguards from the source, one by one. Exit code 1 if a scenario does not detect a mutation."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    folder, missed = folder or Path(tempfile.mkdtemp(prefix="batalkan-mutations-")), 0
    for number, mutation in enumerate(mutations.MUTATIONS):
        if names and not any(word in mutation.name for word in names):
            continue
        report = mutations.run(mutation, seed, folder / str(number))
        caught = report["ending"] == "broken"
        missed += not caught
        first = str(next(iter(report["sentences"]), ""))[-300:]
        result = f"caught by {mutation.scenario}: {first}" if caught else f"NOT CAUGHT by {mutation.scenario}: {report}"
        console.print(f"{mutation.name}: {result}", markup=False, soft_wrap=True)
    console.print(f"seed {seed}, histories in {folder}", markup=False, soft_wrap=True)
    raise typer.Exit(FAILED if missed else 0)


def _numbers(names: Sequence[str], given: Sequence[str], long: bool) -> Mapping[str, str]:
    try:
        numbers = dict(number.split("=", 1) for number in given)
        for name in names:
            numbers_of(scenarios.scenario(name), long, numbers)
    except ValueError as error:
        raise typer.BadParameter(f"--set takes name=number: {error}") from None
    return numbers


async def _run(
    names: Sequence[str], seed: int | None, long: bool, folder: Path, as_json: bool, numbers: Mapping[str, str]
) -> list[Report]:
    reports = []
    async with open_lab_system() as system:
        for name in names:
            report = await run(system, name, seed=seed, long=long, folder=folder, numbers=numbers)
            reports.append(report)
            if as_json:
                print(json.dumps(asdict(report), default=str), flush=True)
            else:
                for sentence in report.sentences[:SHOWN]:
                    console.print(f"  {sentence[:LETTERS]}", markup=False, soft_wrap=True)
                console.print(report.line(), markup=False, soft_wrap=True)
    return reports


def _exit_code(reports: Sequence[Report]) -> int:
    endings = {report.ending for report in reports}
    codes = {Outcome.LAB: LAB_FAILED, Outcome.BROKEN: FAILED, Outcome.NOT_RUN: NOT_RUN}
    return next((code for ending, code in codes.items() if ending in endings), 0)
