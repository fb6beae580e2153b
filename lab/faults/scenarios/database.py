"""PostgreSQL is told to stop at once and started again, time after time, while orders are cancelled: no accepted
cancellation is missing, and the services have their connections back within seconds."""

import asyncio
import signal
import time
from dataclasses import dataclass

from lab.faults.lab import Lab
from lab.faults.workload import Workload

POOLS_BACK = 10.0
"""Seconds from the moment at which PostgreSQL takes connections until every service is ready."""


@dataclass(frozen=True)
class Size:
    """How often, the seconds between two times, and stories in all."""

    times: int
    pause: tuple[float, float]
    sagas: int


SHORT = Size(2, (1.0, 2.0), 120)
LONG = Size(20, (3.0, 8.0), 4_000)


async def run(lab: Lab, size: Size) -> None:
    """Restarts PostgreSQL while the crowd lives."""
    workload, back = await Workload.gather(lab), list[float]()
    await workload.run_while(size.sagas, strike(lab, size, back))
    lab.figures |= {"cancels": len(lab.history.accepted), "restarts": size.times, "slowest_back_s": max(back)}
    lab.hold(max(back) < POOLS_BACK, f"a service had no connection {max(back):.1f} s after PostgreSQL was back")
    await lab.at_rest()


async def strike(lab: Lab, size: Size, back: list[float]) -> None:
    """So many restarts; adds the seconds after which each was over for the services."""
    for _ in range(size.times):
        await asyncio.sleep(lab.chance.uniform(*size.pause))
        back.append(await restart(lab))


async def restart(lab: Lab) -> float:
    """PostgreSQL's "immediate" stop, which is a crash; returns the seconds until all services are ready again."""
    server = lab.system.servers["postgres"]
    await server.child.stop(20, signal.SIGQUIT)
    await server.start()
    began = time.monotonic()
    await lab.system.running.processes.ready()
    lab.history.note("postgres restarted", back=round(time.monotonic() - began, 2))
    return round(time.monotonic() - began, 2)
