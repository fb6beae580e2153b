"""The figures as tables: medians over the runs, and the ratios of the variants."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, TypeVar, cast

import typer
from rich.console import Console
from rich.table import Table

from lab.bench.run import RunFigures
from lab.bench.variants import BATALKAN

T = TypeVar("T")

JsonFile = Annotated[Path | None, typer.Option("--json", help="A file for the figures.")]
MEDIANS = (
    *("sagas_per_second", "cpu_ms_per_saga", "cpu_by_process", "turned_away", "http_ms", "saga_ms", "memory_mb"),
    *("statements_per_saga", "commits_per_saga", "fsyncs_per_saga", "wal_bytes_per_saga"),
)

console = Console(highlight=False)


def finish(figures: T, as_json: Path | None, title: str = "") -> T:
    """Prints the figures, writes them to the file, and returns them. A list has a column for each of its mappings."""
    show(figures if isinstance(figures, list) else [{title: "", **cast(Mapping[str, Any], figures)}])
    if as_json:
        as_json.write_text(json.dumps(figures, indent=1))
    return figures


def show(columns: Sequence[Mapping[str, Any]]) -> None:
    """Prints a column for each mapping, under its first figure."""
    head, *names = dict.fromkeys(name for column in columns for name in column)
    table = Table(head.replace("_", " "), *(_text(column[head]) for column in columns))
    for name in names:
        table.add_row(name.replace("_", " "), *(_text(column.get(name)) for column in columns))
    console.print(table)
    console.print(f"load average {os.getloadavg()[0]:.1f}")


def _text(value: Any) -> str:
    """A figure, or several with their names, as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return f"{value:,}" if isinstance(value, int | float) else "–" if value is None else str(value)


def by_variant(figures: Sequence[RunFigures]) -> dict[str, list[RunFigures]]:
    """The runs of each variant, in order."""
    found: dict[str, list[RunFigures]] = {}
    for one in figures:
        found.setdefault(one.variant, []).append(one)
    return found


def ratios(figures: Sequence[RunFigures]) -> dict[str, dict[str, list[float]]]:
    """The ratios of each variant of Batalkan to each baseline ("core : reference"), run by run."""
    runs = by_variant(figures)
    found = {}
    for ours in BATALKAN.keys() & runs:
        for baseline in runs.keys() - BATALKAN:
            pairs = list(zip(runs[ours], runs[baseline], strict=False))
            found[f"{ours} : {baseline}"] = {
                attribute: [round(getattr(one, attribute) / getattr(other, attribute), 2) for one, other in pairs]
                for attribute in ("cpu_ms_per_saga", "sagas_per_second")
            }
    return dict(sorted(found.items()))


def medians(runs: Sequence[RunFigures]) -> dict[str, float]:
    """The median of each figure, and of each part of a figure with parts."""
    values: dict[str, list[float]] = {}
    for one in runs:
        for name in MEDIANS:
            value = getattr(one, name)
            for part, number in value.items() if isinstance(value, Mapping) else [("", value)]:
                values.setdefault(f"{name} {part}".strip(), []).append(number)
    return {name: round(median(numbers), 3) for name, numbers in values.items()}


def show_runs(figures: Sequence[RunFigures]) -> None:
    """Prints a column of medians for each variant, and the ratios."""
    show([{"variant": variant, **medians(runs)} for variant, runs in by_variant(figures).items()])
    for one in figures:
        if one.scanned:
            console.print(f"{one.variant} read rows in sequential scans: {one.scanned}")
    for pair, against in ratios(figures).items():
        cpu, sagas = against["cpu_ms_per_saga"], against["sagas_per_second"]
        console.print(
            f"{pair}: CPU per saga {median(cpu):.2f} × (runs {cpu}), sagas/s {median(sagas):.2f} × (runs {sagas})"
        )


def show_statements(figures: RunFigures) -> None:
    """Prints the statements that cost PostgreSQL most."""
    table = Table("calls per saga", "ms per saga", f"statement ({figures.variant})")
    for query, calls, milliseconds in figures.statements:
        table.add_row(str(calls), f"{milliseconds:.4f}", " ".join(query.split())[:110])
    console.print(table, markup=False)
