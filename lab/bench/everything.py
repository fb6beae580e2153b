"""All figures of docs/performance.md: about a quarter of an hour on two idle cores."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.bench import backlog, growth, idle, messages, report, saga, targets

ORDERS, CLIENTS, REPEATS = 1500, 64, 3
REPLICAS = (1, 2, 4)

_PARTS: Mapping[str, Callable[[], Any]] = {
    "saga": lambda: saga.run(saga.VARIANTS.split(","), ORDERS, CLIENTS, REPEATS, half=True),
    "growth": growth.main,
    "replicas": lambda: {
        replicas: saga.run(["core"], ORDERS, CLIENTS, 1, replicas=replicas)["runs"] for replicas in REPLICAS
    },
    "backlog": backlog.main,
    "messages": messages.main,
    "idle": idle.main,
}


def main(
    parts: Annotated[str, typer.Option(help="The parts to measure.")] = ",".join(_PARTS),
    as_json: Annotated[Path, typer.Option("--json", help="The file for all figures.")] = Path("bench.json"),
) -> None:
    """Measure all parts, one after the other. Exit code 1 if an invariant is broken."""
    found: dict[str, Any] = {}
    for part in parts.split(","):
        report.console.rule(part)
        found[part] = _PARTS[part]()
        as_json.write_text(json.dumps(found, indent=1))
    report.console.rule("targets")
    print(targets.markdown(found))
