"""The targets and the reached figures, as a Markdown table for docs/performance.md."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

Found = Mapping[str, Any]
Line = tuple[str, str, bool]
"""A target, the reached figure, and whether it meets the target."""


def lines(found: Found) -> Iterator[Line]:
    """The lines of each measured part."""
    for part, judge in _JUDGES.items():
        if part in found:
            yield from judge(found[part], found)


def markdown(found: Found) -> str:
    """The table."""
    rows = [f"| {target} | {reached} | {'yes' if met else '**no**'} |" for target, reached, met in lines(found)]
    return "\n".join(["| target | reached | met |", "| --- | --- | --- |", *rows])


def _saga(saga: Found, _: Found) -> Iterator[Line]:
    for pair, maximum, minimum in (("core : reference", 1.3, 0.72), ("all : reference", 1.7, 0.55)):
        ratios = saga["ratios"][pair]
        yield _upper_bound(maximum, f"CPU of {pair}", ratios["cpu_ms_per_saga"])
        yield _lower_bound(minimum, f"sagas/s of {pair}", ratios["sagas_per_second"])
    faststream = saga["ratios"]["core : faststream"]
    yield _upper_bound(0.5, "CPU of core : faststream", faststream["cpu_ms_per_saga"])
    yield _lower_bound(2, "sagas/s of core : faststream", faststream["sagas_per_second"])
    for name in ("core", "all"):
        runs = [one for one in saga["runs"] if one["variant"] == name]
        half = [one for one in runs if one["rate"]]
        rate = " and ".join(f"{one['rate']:g}" for one in half)
        full = [one for one in runs if not one["rate"]]
        yield _upper_bound(150, f"HTTP p99 of {name}, 64 clients, ms", [one["http_ms"]["p99"] for one in full])
        yield _upper_bound(15, f"HTTP p99 of {name} at {rate}/s, ms", [one["http_ms"]["p99"] for one in half])
        yield _upper_bound(250, f"saga p99 of {name} there, ms", [one["saga_ms"]["p99"] for one in half])
        yield _upper_bound(12, f"round trips of {name}", [one["statements_per_saga"] for one in full])
        yield _upper_bound(2, f"commits of {name}", [one["commits_per_saga"] for one in full])


def _growth(growth: list[Found], _: Found) -> Iterator[Line]:
    many = growth[-1]
    name = f"throughput with {many['old_orders']:,} old orders : {growth[0]['old_orders']:,}, at least 0.9"
    yield name, str(many["throughput_ratio"]), many["throughput_ratio"] >= 0.9
    scanned = many["rows_scanned"]
    yield "rows of tables that grow read in sequential scans, none", str(scanned), not scanned


def _backlog(backlog: Found, found: Found) -> Iterator[Line]:
    drained, memory = backlog["drained_per_second"], backlog["refunds_memory_mb"]
    runs = found.get("saga", {"runs": []})["runs"]
    rate = [one["sagas_per_second"] for one in runs if one["variant"] == "core" and not one["rate"]]
    minimum = round(median(rate)) if rate else 0
    yield f"{backlog['events']:,} events drained, at least {minimum}/s as sagas are", f"{drained}/s", drained >= minimum
    flat = max(memory[1:]) <= 1.25 * memory[1]
    yield "memory of refunds meanwhile flat", " → ".join(map(str, memory)) + " MB", flat


def _idle(idle: Found, _: Found) -> Iterator[Line]:
    memory = idle["idle"]["services_mb"] + idle["idle"]["postgresql_mb"]
    yield "idle, all in one process with PostgreSQL, under 160 MB", f"{memory} MB", memory < 160
    yield "idle, under 0.5 % of a core", f"{idle['idle']['cpu_percent']} %", idle["idle"]["cpu_percent"] < 0.5
    second = idle["demo_seconds"]["second"]
    yield "`batalkan demo --no-serve` again, under 3 s", f"{second} s", second < 3
    slowest = max(one["wall"] for one in idle["import_seconds"].values())
    yield "import of a service, under 0.3 s", f"{slowest} s at the most", slowest < 0.3


def _upper_bound(bound: float, what: str, values: Sequence[float]) -> Line:
    return f"{what}, at most {bound:g}", _values(values), median(values) <= bound


def _lower_bound(bound: float, what: str, values: Sequence[float]) -> Line:
    return f"{what}, at least {bound:g}", _values(values), median(values) >= bound


def _values(values: Sequence[float]) -> str:
    return f"{median(values):g} (runs {', '.join(f'{one:g}' for one in values)})"


_JUDGES: Mapping[str, Callable[[Any, Found], Iterator[Line]]] = {
    "saga": _saga,
    "growth": _growth,
    "backlog": _backlog,
    "idle": _idle,
}
