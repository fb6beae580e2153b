"""RabbitMQ is killed and stays away, freezes, and runs into its memory alarm, while orders are cancelled at a steady
rate: every answer is a success in time, and the money comes when it is back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lab.faults.lab import Lab
from lab.faults.open_loop import cancel_steadily
from lab.faults.workload import Workload

AROUND = 2.0
"""Seconds of cancelling before and after each fault."""
SLOWEST = 1.0
"""Seconds within which all but one in a hundred are answered, whatever the broker does."""
DRAINED, BACK = 30.0, 40.0
"""Seconds within which all is at rest after the return of the broker; within which services are ready once it thaws."""

Fault = Callable[[Lab, float], Awaitable[None]]


@dataclass(frozen=True)
class Size:
    """Cancellations a second, and for how many seconds RabbitMQ is away, frozen, and alarmed."""

    rate: float
    away: float
    frozen: float
    alarmed: float
    frozen_rate: float
    slowest: float = SLOWEST


SHORT = Size(rate=15, away=2, frozen=2, alarmed=3, frozen_rate=15, slowest=5.0)
LONG = Size(rate=100, away=10, frozen=60, alarmed=20, frozen_rate=20)


async def run(lab: Lab, size: Size) -> None:
    """One fault after the other, each with its own figures."""
    workload = await Workload.gather(lab)
    await under(lab, workload, size, "away", away, size.away, size.rate)
    await under(lab, workload, size, "frozen", frozen, size.frozen, size.frozen_rate)
    await under(lab, workload, size, "alarmed", alarmed, size.alarmed, size.frozen_rate)


async def under(lab: Lab, workload: Workload, size: Size, name: str, fault: Fault, seconds: float, rate: float) -> None:
    """Cancels before, during and after the fault."""
    orders = await workload.paid(int(rate * (seconds + 2 * AROUND)))
    await lab.at_rest()
    async with asyncio.TaskGroup() as group:
        cancelling = group.create_task(cancel_steadily(lab, orders, rate))
        await asyncio.sleep(AROUND)
        lab.history.note(name, seconds=seconds)
        await fault(lab, seconds)
        back = time.monotonic()
    answers = cancelling.result()
    await lab.at_rest(max(1.0, back + DRAINED - time.monotonic()))
    facts = {"cancels": len(orders), "p50_ms": round(1000 * answers.median), "p99_ms": round(1000 * answers.p99)}
    lab.figures[name] = {**facts, "drained_s": round(time.monotonic() - back, 1)}
    lab.hold(set(answers.statuses) == {200}, f"{name}: answers were {dict(answers.statuses)}")
    lab.hold(answers.p99 < size.slowest, f"{name}: one in a hundred took longer than {answers.p99:.2f} s")


async def away(lab: Lab, seconds: float) -> None:
    """Killed, and started again after so many seconds."""
    broker = lab.system.servers["rabbitmq"]
    await broker.kill()
    await asyncio.sleep(seconds)
    await broker.start()


async def frozen(lab: Lab, seconds: float) -> None:
    """It takes connections and answers nothing; the services are ready again soon after it thaws."""
    broker = lab.system.servers["rabbitmq"]
    broker.pause()
    await asyncio.sleep(seconds)
    broker.resume()
    thawed = time.monotonic()
    await lab.system.running.processes.ready(timeout=BACK)
    lab.figures["back_s"] = round(time.monotonic() - thawed, 1)


async def alarmed(lab: Lab, seconds: float) -> None:
    """It takes nothing more from publishers, because it thinks that its memory is full."""
    broker = lab.system.servers["rabbitmq"]
    await broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    await asyncio.sleep(seconds)
    await broker.control("set_vm_memory_high_watermark", "absolute", "1GB")
