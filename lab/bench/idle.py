"""The cost without load, in the environment of users: import times, the demonstration, and all services idle."""

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer

from batalkan.servers.data_folder import free_ports
from batalkan.subprocesses import descendants
from lab.bench import meters, report
from lab.bench.environment import USERS
from lab.serving import batalkan_up
from services import SERVICES

SETTLE = 40.0
"""Seconds after the start that are not measured: until the connections that only the start needed are closed."""
TRIES = 5
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""With Python's default of keeping compiled bytecode."""


def timed(*arguments: str, **options: Any) -> tuple[float, float]:
    """Wall and processor seconds of a run of Python with these arguments."""
    before, started = os.times(), monotonic()
    subprocess.run([USERS.python(), *arguments], env=ENVIRONMENT, check=True, **options)  # noqa: S603
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return monotonic() - started, spent


def imports(service: str) -> dict[str, float]:
    """Wall and processor seconds from the start of Python until the service is imported; the best of several runs."""
    runs = [timed("-c", f"import services.{service}.main, runtime.serve") for _ in range(TRIES)]
    wall, cpu = map(min, zip(*runs, strict=True))
    return {"wall": round(wall, 2), "cpu": round(cpu, 2)}


def demonstration(folder: Path) -> dict[str, float]:
    """Seconds of `batalkan demo --no-serve`: the first time, and again on the same data."""
    found: dict[str, float] = {}
    arguments = ["demo", "--no-serve", "--data", str(folder), "--port", str(next(free_ports()))]
    for run in ("first", "second"):
        wall, cpu = timed("-m", "batalkan", *arguments, stdout=subprocess.DEVNULL)
        found |= {run: round(wall, 1), f"{run}_cpu": round(cpu, 1)}
    return found


async def idle(folder: Path, seconds: float) -> dict[str, float]:
    """All services in one process, with PostgreSQL: megabytes (PSS), and per cent of one core."""
    async with batalkan_up(folder, folder / "up.log", str(USERS.python())) as (child, _):
        await asyncio.sleep(SETTLE)
        assert child.pid
        whole = (child.pid, *descendants(child.pid))
        pids = [child.pid] if _postgres(folder) in whole else [child.pid, _postgres(folder)]
        spent = sum(map(meters.cpu_seconds, pids))
        await asyncio.sleep(seconds)
        busy = sum(map(meters.cpu_seconds, pids)) - spent
        postgresql = meters.memory(_postgres(folder))
        return {
            "services_mb": round(sum(map(meters.memory, pids)) - postgresql),
            "postgresql_mb": round(postgresql),
            "cpu_percent": round(100 * busy / seconds, 2),
        }


def _postgres(folder: Path) -> int:
    """The process id of the embedded server: a descendant of the process that started it, or none of another's."""
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


def main(
    seconds: Annotated[float, typer.Option(help="Seconds of idling.")] = 30, as_json: report.JsonFile = None
) -> dict[str, Any]:
    """Measure import times, the demonstration's time, and the cost of idle services."""
    return report.finish(measure(seconds), as_json, "without load")
