"""Bindings, the exchange and the queue of refunds are deleted, and the queue is declared differently, while orders are
cancelled: the services publish lost events again, and every accepted cancellation is refunded exactly once."""

import asyncio
import time

from batalkan.invariants import Evidence, check
from lab.faults.foreign_client import ForeignClient, open_foreign_client
from lab.faults.lab import POLL, Lab
from lab.faults.outcomes import InvariantBroken
from lab.faults.system import LabSystem, open_lab_system
from lab.faults.workload import Workload
from runtime.messaging.envelope import EXCHANGE

TARGET = "refunds"
REMIND_AFTER = 2.0
"""Seconds without a refund after which orders publishes a cancellation again."""
WITHIN = 90.0
"""Seconds within which everything is refunded."""

LONG = {"cycles": 10, "pause": 5.0, "sagas": 3_000}


async def run(lab: Lab, cycles: int = 1, pause: float = 1.5, sagas: int = 100) -> None:
    """Runs all faults so many `cycles`, with a `pause` of so many seconds before each. Uses a system of its own: lost
    events make its counters wrong."""
    async with open_lab_system() as system:
        own = Lab(system, lab.history, lab.seed)
        await system.rearm("orders", {"REMIND_AFTER": str(REMIND_AFTER)})
        workload = await Workload.gather(own, talks=False)  # chat and customer service may never learn of an order
        await workload.run_while(sagas, strike(own, cycles, pause))
        lab.figures["healed_s"] = await healed(lab, system)


async def strike(lab: Lab, cycles: int, pause: float) -> None:
    """All faults, one after the other."""
    for _ in range(cycles):
        for fault in (unbind, delete_exchange, delete_queue, declare_otherwise):
            await asyncio.sleep(pause)
            lab.history.note(fault.__name__)
            async with open_foreign_client(lab) as foreign:
                await fault(foreign)


async def unbind(foreign: ForeignClient) -> None:
    """The target receives no more events, without an error."""
    await foreign.bind(TARGET, undo=True)


async def delete_exchange(foreign: ForeignClient) -> None:
    """Deletes all bindings, too."""
    await foreign.channel.exchange_delete(EXCHANGE)


async def delete_queue(foreign: ForeignClient) -> None:
    """Deletes its messages, too."""
    await foreign.channel.queue_delete(TARGET)


async def declare_otherwise(foreign: ForeignClient) -> None:
    """The target cannot consume until the classic queue is deleted."""
    await foreign.channel.queue_delete(TARGET)
    await foreign.channel.declare_queue(TARGET, durable=True, arguments={"x-queue-type": "classic"})
    await asyncio.sleep(1.0)
    await foreign.channel.queue_delete(TARGET)


async def healed(lab: Lab, system: LabSystem) -> float:
    """Waits until everything is refunded. Raises `InvariantBroken`."""
    began, evidence = time.monotonic(), Evidence(lab.history.accepted, outsiders=True, parts=lab.history.parts)
    while True:
        snapshot = await check(system.base.database_urls, system.base.dana, evidence)
        if not (wrong := [*snapshot.broken, *snapshot.pending]):
            return round(time.monotonic() - began, 1)
        if time.monotonic() - began > WITHIN:
            raise InvariantBroken([f"after {WITHIN:.0f} s: {one}" for one in wrong])
        await asyncio.sleep(POLL)
