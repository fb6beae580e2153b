"""PostgreSQL is stopped immediately and restarted, again and again, while orders are cancelled: no accepted
cancellation is missing, and the services reconnect within seconds."""

import asyncio
import signal
import time
from dataclasses import dataclass

from lab.faults.lab import Lab
from lab.faults.workload import Workload

POOLS_BACK = 10.0
"""Seconds after PostgreSQL accepts connections until every service is ready."""


@dataclass(frozen=True)
class Size:
    """The number of restarts, the seconds between two, and the number of sagas."""

    times: int
    pause: tuple[float, float]
    sagas: int


SHORT = Size(2, (1.0, 2.0), 120)
LONG = Size(20, (3.0, 8.0), 4_000)


async def run(lab: Lab, size: Size) -> None:
    """Restarts PostgreSQL under load."""
    workload, back = await Workload.gather(lab), list[float]()
    await workload.run_while(size.sagas, strike(lab, size, back))
    lab.figures |= {"cancels": len(lab.history.accepted), "restarts": size.times, "slowest_back_s": max(back)}
    lab.hold(max(back) < POOLS_BACK, f"a service was not ready {max(back):.1f} s after PostgreSQL was")
    await lab.at_rest()


async def strike(lab: Lab, size: Size, back: list[float]) -> None:
    """Restarts PostgreSQL; adds the seconds until all services were ready to `back`."""
    for _ in range(size.times):
        await asyncio.sleep(lab.chance.uniform(*size.pause))
        back.append(await restart(lab))


async def restart(lab: Lab) -> float:
    """PostgreSQL's "immediate" shutdown, which is a crash; returns the seconds until all services are ready."""
    server = lab.system.servers["postgres"]
    await server.child.stop(20, signal.SIGQUIT)
    await server.start()
    began = time.monotonic()
    await lab.system.running.processes.ready()
    lab.history.note("postgres restarted", back=round(time.monotonic() - began, 2))
    return round(time.monotonic() - began, 2)
