"""Every service is frozen, then stopped and restarted, while orders are cancelled: it stops within 10 seconds with code
0, and every accepted cancellation is refunded exactly once."""

import asyncio
import time

from batalkan.local_servers import DANA
from lab.faults.lab import Lab
from lab.faults.workload import Workload
from services import SERVICES

MAX_SECONDS = 10.0

LONG = {"cycles": 10, "frozen": 30.0, "sagas": 4_000}


async def run(lab: Lab, cycles: int = 1, frozen: float = 1.0, sagas: int = 100) -> None:
    """Freezes each service for so many seconds and stops it, in turn, so many `cycles`, under load."""
    workload = await Workload.gather(lab)
    await workload.run_while(sagas, strike(lab, cycles, frozen))
    await lab.at_rest()


async def strike(lab: Lab, cycles: int, frozen: float) -> None:
    """Freezes, stops and restarts all processes, in a random order in each cycle."""
    processes = lab.system.running.processes
    for _ in range(cycles):
        for name in lab.chance.sample([*SERVICES, DANA], len(SERVICES) + 1):
            lab.history.note("freeze", process=name, seconds=frozen)
            processes.pause(name)
            await asyncio.sleep(frozen)
            processes.resume(name)
            child, began = processes.watched[name].child, time.monotonic()
            await processes.stop(name)
            took, code = round(time.monotonic() - began, 1), child.exit_code
            lab.history.note("stop", process=name, seconds=took, code=code)
            lab.figures["slowest_stop_s"] = max(took, lab.figures.get("slowest_stop_s", 0.0))
            lab.hold(took < MAX_SECONDS, f"{name} took {took} s to stop")
            lab.hold(code == 0 or name == DANA, f"{name} ended with code {code}")
            await processes.start(name)
