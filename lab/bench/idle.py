"""The cost without load: import times, the demonstration, and all services idle.

python -m lab.bench.idle [--seconds 30] [--json FILE]
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import Console

from batalkan.processes import is_ready
from batalkan.servers.data_folder import free_ports
from batalkan.subprocesses import Child, Reaper
from lab.bench import meters, report
from services import SERVICES

SETTLE = 10.0
"""Seconds after the start that are not measured."""
TRIES = 5
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""With Python's default of keeping compiled bytecode."""

console = Console(highlight=False)


def imports(service: str) -> dict[str, float]:
    """Wall and processor seconds from the start of Python until the service is imported; the best of several runs."""
    best = {"wall": 99.0, "cpu": 99.0}
    for _ in range(TRIES):
        before, started = os.times(), monotonic()
        program = f"import services.{service}.main, runtime.serve"
        subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, check=True)  # noqa: S603
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        best = {"wall": min(best["wall"], monotonic() - started), "cpu": min(best["cpu"], spent)}
    return {name: round(value, 2) for name, value in best.items()}


def demonstration(folder: Path) -> dict[str, float]:
    """Seconds of `batalkan demo --no-serve`: the first time, and again on the same data."""
    found = {}
    port = next(free_ports())
    for run in ("first", "second"):
        before, started = os.times(), monotonic()
        argv = [sys.executable, "-m", "batalkan", "demo", "--no-serve", "--data", str(folder), "--port", str(port)]
        subprocess.run(argv, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        after = os.times()
        found[run] = round(monotonic() - started, 1)
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        found[f"{run}_cpu"] = round(spent, 1)
    return found


async def idle(folder: Path, seconds: float) -> dict[str, float]:
    """All services in one process, with PostgreSQL: megabytes (PSS), and per cent of one core."""
    port, reaper = next(free_ports()), Reaper()
    argv = [sys.executable, "-m", "batalkan", "up", "--data", str(folder), "--port", str(port)]
    child = Child("batalkan", argv, reaper=reaper, log=folder / "up.log")
    try:
        child.spawn()
        await child.until(lambda: is_ready(f"http://127.0.0.1:{port}/cs/health/ready"), 60)
        await asyncio.sleep(SETTLE)
        assert child.pid
        pids = [child.pid, _postgres(folder)]
        spent = sum(map(meters.cpu_seconds, pids))
        await asyncio.sleep(seconds)
        busy = sum(map(meters.cpu_seconds, pids)) - spent
        memory = [round(meters.memory(pid)) for pid in pids]
        return {"services_mb": memory[0], "postgresql_mb": memory[1], "cpu_percent": round(100 * busy / seconds, 2)}
    finally:
        await child.stop(10)
        reaper.close()


def _postgres(folder: Path) -> int:
    """The process id of the embedded server, which is no child of the process that started it."""
    (found,) = folder.rglob("postmaster.pid")
    return int(found.read_text().split()[0])


def measure(seconds: float) -> dict[str, Any]:
    """Measures and returns the figures."""
    with tempfile.TemporaryDirectory(prefix="batalkan-bench-") as name:
        folder = Path(name)
        return {
            "import_seconds": {service: imports(service) for service in SERVICES},
            "demo_seconds": demonstration(folder),
            "idle": asyncio.run(idle(folder, seconds)),
            "load_average": round(os.getloadavg()[0], 1),
        }


def show(figures: dict[str, Any]) -> None:
    """Prints the figures as a table."""
    report.show_figures(console, "without load", figures)


def main(
    seconds: Annotated[float, typer.Option(help="Seconds of idling.")] = 30,
    as_json: Annotated[Path | None, typer.Option("--json", help="A file for the figures.")] = None,
) -> None:
    """Measure import times, the demonstration's time, and the cost of idle services."""
    figures = measure(seconds)
    show(figures)
    if as_json:
        as_json.write_text(json.dumps(figures, indent=1))
