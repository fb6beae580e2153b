"""RabbitMQ is killed, frozen, and put into its memory alarm, while orders are cancelled at a fixed rate: every request
succeeds in time, and the refunds follow when RabbitMQ is back."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from lab.faults.lab import Lab
from lab.faults.open_loop import cancel_steadily
from lab.faults.workload import Workload

AROUND = 2.0
"""Seconds of cancelling before and after each fault."""
DRAINED, BACK = 30.0, 40.0
"""Seconds after the return of the broker until the system is at rest; after a freeze until services are ready."""

Fault = Callable[[Lab, float], Awaitable[None]]

LONG = {"rate": 100, "away": 10, "frozen": 60, "alarmed": 20, "frozen_rate": 20, "slowest": 1.0}


async def run(
    lab: Lab,
    rate: float = 15.0,
    away: float = 2.0,
    frozen: float = 2.0,
    alarmed: float = 3.0,
    frozen_rate: float = 15.0,
    slowest: float = 5.0,
) -> None:
    """Runs one fault after the other, each with its own figures.

    In numbers: cancellations per second; seconds for which RabbitMQ is down, frozen and in alarm; the rate during the
    last two; the maximum 99th percentile of an answer, in seconds.
    """
    workload = await Workload.gather(lab)
    for fault, seconds, at in ((kill, away, rate), (freeze, frozen, frozen_rate), (alarm, alarmed, frozen_rate)):
        p99 = await under(lab, workload, fault, seconds, at)
        lab.hold(p99 < 1000 * slowest, f"{fault.__name__}: the 99th percentile was {p99} ms")


async def under(lab: Lab, workload: Workload, fault: Fault, seconds: float, rate: float) -> float:
    """Cancels before, during and after the fault; returns the 99th percentile of the answers, in milliseconds."""
    name = fault.__name__
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
    milliseconds = answers.milliseconds()
    drained = round(time.monotonic() - back, 1)
    lab.figures[name] = {"cancels": len(orders), "milliseconds": milliseconds, "drained_s": drained}
    lab.hold(set(answers.statuses) == {200}, f"{name}: the statuses were {dict(answers.statuses)}")
    return milliseconds["p99"]


async def kill(lab: Lab, seconds: float) -> None:
    """Kills it, and starts it after so many seconds."""
    broker = lab.system.servers["rabbitmq"]
    await broker.kill()
    await asyncio.sleep(seconds)
    await broker.start()


async def freeze(lab: Lab, seconds: float) -> None:
    """Freezes it: it accepts connections and answers nothing. The services must be ready soon after."""
    broker = lab.system.servers["rabbitmq"]
    broker.pause()
    await asyncio.sleep(seconds)
    broker.resume()
    await lab.recovers(BACK)


async def alarm(lab: Lab, seconds: float) -> None:
    """Puts it into its memory alarm: it blocks publishers."""
    broker = lab.system.servers["rabbitmq"]
    await broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    await asyncio.sleep(seconds)
    await broker.control("set_vm_memory_high_watermark", "absolute", "1GB")
