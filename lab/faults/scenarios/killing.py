"""`kill -9` of a service at random, and of each server once, while orders are cancelled: every accepted cancellation is
refunded exactly once."""

import asyncio
from collections.abc import Callable

from lab.faults.lab import Lab
from lab.faults.random_faults import calm_dana, kill_services
from lab.faults.workload import Workload, register_and_sign_in

SERVERS = ((0.15, "redis"), (0.3, "rabbitmq"), (0.6, "postgres"))
"""After this part of the sagas, this server is killed."""
SIGN_IN_EVERY = 5.0
"""Seconds."""

ALERTS = {"SamplesFail"}
LONG = {"sagas": 11_112, "pause": (0.5, 3.0)}  # of twenty, 15 end their orders, and 4 cancel parts


async def run(
    lab: Lab, sagas: int = 240, pause: tuple[float, float] = (0.5, 1.5), drained_within: float = 60.0
) -> None:
    """Runs the workload while services and servers are killed, then checks all invariants.

    In seconds: the `pause` between two kills, and the time until the system must be at rest.
    """
    workload, over = await Workload.gather(lab), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        fire = group.create_task(kill_services(lab, lambda: not over.is_set(), pause))
        group.create_task(kill_servers(lab, lambda: 1.0 if over.is_set() else workload.accepted / sagas))
        group.create_task(come_back(lab, over))
        await workload.sagas(sagas)
        over.set()
    await calm_dana(lab)
    snapshot = await lab.at_rest(drained_within)
    lab.figures |= {"kills": fire.result().total(), "refunds": snapshot.refunds, "rupiah": snapshot.refunded}


async def kill_servers(lab: Lab, progress: Callable[[], float]) -> None:
    """Kills and restarts each server once."""
    for part, name in SERVERS:
        while progress() < part:
            await asyncio.sleep(0.05)
        lab.history.note("kill", server=name)
        await lab.system.servers[name].kill()
        await lab.system.servers[name].start()
        lab.history.note("back", server=name)


async def come_back(lab: Lab, over: asyncio.Event) -> None:
    """Registers a new buyer at intervals and signs in."""
    while not over.is_set():
        await register_and_sign_in(lab.system)
        await asyncio.sleep(SIGN_IN_EVERY)
