"""PostgreSQL is stopped immediately and restarted, again and again, while orders are cancelled: no accepted
cancellation is missing, and the services reconnect within seconds."""

import asyncio
import signal

from lab.faults.lab import Lab
from lab.faults.workload import Workload

POOLS_BACK = 10.0
"""Seconds after PostgreSQL accepts connections until every service is ready."""

ALERTS = {"SamplesFail"}
LONG = {"times": 20, "pause": (3.0, 8.0), "sagas": 4_000}


async def run(lab: Lab, times: int = 2, pause: tuple[float, float] = (1.0, 2.0), sagas: int = 120) -> None:
    """Restarts PostgreSQL under load, so many `times`, with a `pause` of so many seconds before each."""
    workload = await Workload.gather(lab)
    await workload.run_while(sagas, strike(lab, times, pause))
    await lab.at_rest()


async def strike(lab: Lab, times: int, pause: tuple[float, float]) -> None:
    """PostgreSQL's "immediate" shutdown, which is a crash, and restarts."""
    server = lab.system.servers["postgres"]
    for _ in range(times):
        await asyncio.sleep(lab.chance.uniform(*pause))
        await server.child.stop(20, signal.SIGQUIT)
        await server.start()
        await lab.recovers(POOLS_BACK)
