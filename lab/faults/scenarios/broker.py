"""RabbitMQ is killed, frozen, and put into its memory alarm, while orders are cancelled at a fixed rate: every request
succeeds in time, and the refunds follow when RabbitMQ is back."""

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
"""The maximum 99th percentile of an answer, in seconds."""
DRAINED, BACK = 30.0, 40.0
"""Seconds after the return of the broker until the system is at rest; after a freeze until services are ready."""

Fault = Callable[[Lab, float], Awaitable[None]]


@dataclass(frozen=True)
class Size:
    """Cancellations per second, and the seconds for which RabbitMQ is down, frozen, and in alarm."""

    rate: float
    away: float
    frozen: float
    alarmed: float
    frozen_rate: float
    slowest: float = SLOWEST


SHORT = Size(rate=15, away=2, frozen=2, alarmed=3, frozen_rate=15, slowest=5.0)
LONG = Size(rate=100, away=10, frozen=60, alarmed=20, frozen_rate=20)


async def run(lab: Lab, size: Size) -> None:
    """Runs one fault after the other, each with its own figures."""
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
    lab.hold(set(answers.statuses) == {200}, f"{name}: the statuses were {dict(answers.statuses)}")
    lab.hold(answers.p99 < size.slowest, f"{name}: the 99th percentile was {answers.p99:.2f} s")


async def away(lab: Lab, seconds: float) -> None:
    """Kills it, and starts it after so many seconds."""
    broker = lab.system.servers["rabbitmq"]
    await broker.kill()
    await asyncio.sleep(seconds)
    await broker.start()


async def frozen(lab: Lab, seconds: float) -> None:
    """Freezes it: it accepts connections and answers nothing. The services must be ready soon after."""
    broker = lab.system.servers["rabbitmq"]
    broker.pause()
    await asyncio.sleep(seconds)
    broker.resume()
    thawed = time.monotonic()
    await lab.system.running.processes.ready(timeout=BACK)
    lab.figures["back_s"] = round(time.monotonic() - thawed, 1)


async def alarmed(lab: Lab, seconds: float) -> None:
    """Puts it into its memory alarm: it blocks publishers."""
    broker = lab.system.servers["rabbitmq"]
    await broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    await asyncio.sleep(seconds)
    await broker.control("set_vm_memory_high_watermark", "absolute", "1GB")
