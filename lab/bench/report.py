"""The figures as tables: medians over the runs, and the ratios of the variants."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from lab.bench.run import RunFigures
from lab.bench.variants import BATALKAN


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


def show(console: Console, figures: Sequence[RunFigures]) -> None:
    """Prints one column for each variant."""
    runs = by_variant(figures)
    table = Table("figure (median)", *runs)

    def row(name: str, *values: object) -> None:
        table.add_row(name, *(f"{value:,}" if isinstance(value, (int, float)) else str(value) for value in values))

    def each(name: str, attribute: str) -> None:
        row(name, *(round(median(getattr(one, attribute) for one in many), 2) for many in runs.values()))

    each("sagas/s, end to end", "sagas_per_second")
    each("CPU ms per saga, all but the generator", "cpu_ms_per_saga")
    for process in _keys(runs, "cpu_by_process"):
        row(f"  {process}", *(_median_of(many, "cpu_by_process", process) for many in runs.values()))
    each("answers 503, retried", "turned_away")
    for part in ("p50", "p99", "p99.9"):
        row(f"HTTP {part}, ms", *(_median_of(many, "http_ms", part) for many in runs.values()))
    for part in ("p50", "p99"):
        row(f"saga {part}, ms", *(_median_of(many, "saga_ms", part) for many in runs.values()))
    for process in _keys(runs, "memory_mb"):
        row(f"memory of {process}, MB", *(_median_of(many, "memory_mb", process) for many in runs.values()))
    each("statements per saga", "statements_per_saga")
    each("commits per saga", "commits_per_saga")
    each("fsyncs of PostgreSQL per saga", "fsyncs_per_saga")
    each("WAL bytes per saga", "wal_bytes_per_saga")
    console.print(table)
    for one in figures:
        if one.scanned:
            console.print(f"{one.variant} read rows in sequential scans: {one.scanned}")
    for pair, against in ratios(figures).items():
        cpu, sagas = against["cpu_ms_per_saga"], against["sagas_per_second"]
        console.print(
            f"{pair}: CPU per saga {median(cpu):.2f} × (runs {_list(cpu)}), sagas/s {median(sagas):.2f} × "
            f"({_list(sagas)})"
        )


def show_figures(console: Console, title: str, figures: Mapping[str, Any]) -> None:
    """Prints one row for each figure."""
    table = Table(title, "")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), text_of(value))
    console.print(table)


def text_of(value: Any) -> str:
    """A figure, or several with their names, as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one:,}" for name, one in value.items())
    return f"{value:,}" if isinstance(value, int | float) else "–" if value is None else str(value)


def show_statements(console: Console, figures: RunFigures) -> None:
    """Prints the statements that cost PostgreSQL most."""
    table = Table("calls per saga", "ms per saga", f"statement ({figures.variant})")
    for query, calls, milliseconds in figures.statements:
        table.add_row(str(calls), f"{milliseconds:.4f}", " ".join(query.split())[:110])
    console.print(table, markup=False)


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _keys(runs: Mapping[str, Sequence[RunFigures]], attribute: str) -> list[str]:
    return list(dict.fromkeys(key for many in runs.values() for one in many for key in getattr(one, attribute)))


def _median_of(many: Sequence[RunFigures], attribute: str, key: str) -> float | str:
    values = [getattr(one, attribute)[key] for one in many if key in getattr(one, attribute)]
    return round(median(values), 3) if values else "–"
