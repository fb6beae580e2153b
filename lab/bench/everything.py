"""All figures of docs/performance.md: about a quarter of an hour on two idle cores."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lab.bench import backlog, growth, idle, messages, saga, targets
from lab.bench.run import RunFailed

PARTS = "saga,growth,replicas,backlog,messages,idle"
ORDERS, CLIENTS, REPEATS = 1500, 64, 3
SIZES = (10_000, 1_000_000)
REPLICAS = (1, 2, 4)
EVENTS = 100_000
SECONDS = 30.0


def main(
    parts: Annotated[str, typer.Option(help="The parts to measure.")] = PARTS,
    as_json: Annotated[Path, typer.Option("--json", help="The file for all figures.")] = Path("bench.json"),
) -> None:
    """Measure all parts, one after the other. Exit code 1 if an invariant is broken."""
    found: dict[str, Any] = {}
    for part in parts.split(","):
        saga.console.rule(part)
        try:
            found[part] = _PARTS[part]()
        except RunFailed as error:
            sys.exit(f"bench: {error}")
        as_json.write_text(json.dumps(found, indent=1))
    saga.console.rule("targets")
    print(targets.markdown(found))


def _saga() -> dict[str, Any]:
    figures = asyncio.run(saga.measure(saga.VARIANTS.split(","), ORDERS, CLIENTS, REPEATS, half=True))
    saga.show(figures)
    return saga.as_dict(figures)


def _growth() -> list[dict[str, Any]]:
    found = asyncio.run(growth.measure(SIZES, ORDERS, CLIENTS, REPEATS))
    growth.show(found)
    return found


def _replicas() -> dict[int, Any]:
    found = {}
    for replicas in REPLICAS:
        figures = asyncio.run(saga.measure(["core"], ORDERS, CLIENTS, 1, replicas=replicas))
        found[replicas] = saga.as_dict(figures)["runs"]
    return found


def _backlog() -> dict[str, Any]:
    found = asyncio.run(backlog.measure(EVENTS))
    backlog.show(found)
    return found


def _messages() -> list[dict[str, Any]]:
    found = messages.run(messages.EVENTS)
    messages.show(found)
    return found


def _idle() -> dict[str, Any]:
    found = idle.measure(SECONDS)
    idle.show(found)
    return found


_PARTS = {
    "saga": _saga,
    "growth": _growth,
    "replicas": _replicas,
    "backlog": _backlog,
    "messages": _messages,
    "idle": _idle,
}
