"""Every service is frozen, then stopped and restarted, while orders are cancelled: it stops within 10 seconds with code
0, and every accepted cancellation is refunded exactly once."""

import asyncio
import time
from dataclasses import dataclass

from batalkan.local_servers import DANA
from lab.faults.lab import Lab
from lab.faults.workload import Workload
from services import SERVICES

MAX_SECONDS = 10.0


@dataclass(frozen=True)
class Size:
    """Cycles through all services, seconds frozen, and number of sagas."""

    cycles: int
    frozen: float
    sagas: int


SHORT = Size(1, 1.0, 100)
LONG = Size(10, 30.0, 4_000)


async def run(lab: Lab, size: Size) -> None:
    """Freezes and stops each service in turn, under load."""
    workload, took = await Workload.gather(lab), list[float]()
    await workload.run_while(size.sagas, strike(lab, size, took))
    lab.figures |= {"cancels": len(lab.history.accepted), "slowest_stop_s": round(max(took), 1)}
    await lab.at_rest()


async def strike(lab: Lab, size: Size, took: list[float]) -> None:
    """Freezes and stops all services, in a random order in each cycle; adds the seconds that each took to stop."""
    for _ in range(size.cycles):
        for name in lab.chance.sample([*SERVICES, DANA], len(SERVICES) + 1):
            await freeze(lab, name, size.frozen)
            took.append(await stop(lab, name))


async def freeze(lab: Lab, name: str, seconds: float) -> None:
    """SIGSTOP, and SIGCONT."""
    lab.history.note("freeze", process=name, seconds=seconds)
    lab.system.running.processes.pause(name)
    await asyncio.sleep(seconds)
    lab.system.running.processes.resume(name)


async def stop(lab: Lab, name: str) -> float:
    """Stops and restarts the process; returns the seconds that it took to stop."""
    processes, began = lab.system.running.processes, time.monotonic()
    child = processes.watched[name].child
    await processes.stop(name)
    took, code = time.monotonic() - began, child.exit_code
    lab.history.note("stop", process=name, seconds=round(took, 2), code=code)
    lab.hold(took < MAX_SECONDS, f"{name} took {took:.1f} s to stop")
    lab.hold(code == 0 or name == DANA, f"{name} ended with code {code}")
    await processes.start(name)
    return took
