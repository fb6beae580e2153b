"""The services move to more partitions, and back to one, while orders are cancelled and services are killed, in the
long form RabbitMQ too: each consumer handles the events of a subject in their order, and each refund arrives once."""

import asyncio
import time
from collections.abc import Sequence

from batalkan.operate import partitionings
from lab.faults import recording_service
from lab.faults.lab import POLL, Lab
from lab.faults.random_faults import START
from lab.faults.system import CONSUMERS
from lab.faults.workload import Workload

WITHIN = 120.0
"""Seconds for a move of all services."""

LONG = {"sagas": 3_000, "counts": (2, 4, 8, 3, 8), "kills": 8, "broker": True}


async def run(lab: Lab, sagas: int = 60, counts: Sequence[int] = (8,), kills: int = 1, *, broker: bool = False) -> None:
    """Runs at least so many `sagas`, while the services move to each of `counts` and then to 1, with so many `kills` of
    a consumer in each move, and with `broker` one of RabbitMQ."""
    urls = {name: lab.system.base.database_urls[name] for name in CONSUMERS}
    await recording_service.begin(urls)
    workload = await Workload.gather(lab)
    await workload.run_while(sagas, moves(lab, [*counts, 1], kills, broker=broker))
    await lab.at_rest()
    lab.figures["handled"], overtaken = await recording_service.overtaken(urls)
    await lab.system.disarm()
    lab.hold(not overtaken, f"handled out of order: {', '.join(overtaken[:5])}")


async def moves(lab: Lab, counts: Sequence[int], kills: int, *, broker: bool) -> None:
    """Moves all consumers to each number; kills some of them, and perhaps RabbitMQ, on the way."""
    for count in counts:
        began = time.monotonic()
        settings, recording = {"PARTITIONS": str(count)}, "lab.faults.recording_service"
        await asyncio.gather(*(lab.system.rearm(name, settings, module=recording) for name in CONSUMERS))
        for _ in range(kills):
            await asyncio.sleep(lab.chance.uniform(0.0, 2.0))
            name = lab.chance.choice(CONSUMERS)
            lab.history.note("kill", process=name)
            await lab.system.running.processes.ready(name, timeout=START)
            await lab.system.running.processes.kill(name)
        if broker:
            lab.history.note("kill", server="rabbitmq")
            await lab.system.servers["rabbitmq"].kill()
            await lab.system.servers["rabbitmq"].start()
        async with asyncio.timeout(WITHIN):
            while not await moved(lab, count):
                await asyncio.sleep(POLL)
        lab.history.note("moved", partitions=count, after=round(time.monotonic() - began, 1))


async def moved(lab: Lab, count: int) -> bool:
    """Whether all consumers have that number of partitions."""
    found = await partitionings({name: lab.system.base.database_urls[name] for name in CONSUMERS})
    return all(one.current == count and not one.moves for one in found.values())
