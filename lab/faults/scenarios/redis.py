"""Redis is killed, then frozen: cancelling and refunding continue; signing in and live chat are refused within a
second."""

import asyncio
import time

from lab.faults.lab import Lab
from lab.faults.open_loop import cancel_steadily
from lab.faults.workload import Workload
from tests.harness.actors import Buyer

LONG = {"gone": 60, "hole": 60, "rate": 20, "clear": 1.0}


async def run(lab: Lab, gone: float = 3.0, hole: float = 3.0, rate: float = 10.0, clear: float = 3.0) -> None:
    """Cancels and refunds without Redis, at a `rate` per second; also sends requests that need it.

    In seconds: how long Redis is killed and frozen, and within which a request that needs it is refused.
    """
    workload, redis = await Workload.gather(lab), lab.system.servers["redis"]
    person = await Buyer.register(lab.system.base.http, "buyer")
    orders = await workload.paid(int(rate * (gone + hole)))
    await lab.at_rest()
    half = int(rate * gone)
    await redis.kill()
    await without(lab, "gone", person, orders[:half], rate, clear)
    await redis.start()
    redis.pause()
    await without(lab, "hole", person, orders[half:], rate, clear)
    redis.resume()
    await lab.system.running.processes.ready()
    await Buyer.sign_in(lab.system.base.http, person.email, person.password)


async def without(
    lab: Lab, name: str, person: Buyer, orders: list[tuple[Buyer, str]], rate: float, clear: float
) -> None:
    """Cancellations and refunds continue; requests that need Redis get 503 in time."""
    async with asyncio.TaskGroup() as group:
        cancelling = group.create_task(cancel_steadily(lab, orders, rate))
        refusals = group.create_task(refused(lab, person, cancelling))
    answers, (slowest, statuses) = cancelling.result(), refusals.result()
    await lab.at_rest()
    lab.figures[name] = {"cancels": len(orders), "milliseconds": answers.milliseconds(), "refused_ms": slowest}
    lab.hold(set(answers.statuses) == {200}, f"{name}: cancellations were answered {dict(answers.statuses)}")
    lab.hold(statuses == {503}, f"{name}: requests that need Redis were answered {statuses}")
    lab.hold(slowest < 1000 * clear, f"{name}: a refusal took {slowest} ms")


async def refused(lab: Lab, person: Buyer, cancelling: "asyncio.Task[object]") -> tuple[int, set[int]]:
    """Signs in and asks for a ticket to the live chat until the cancelling is over: slowest (ms), and statuses."""
    form = {"grant_type": "password", "username": person.email, "password": person.password, "client_id": "app"}
    headers = {"Authorization": f"Bearer {person.token}"}
    slowest, statuses = 0.0, set()
    while not cancelling.done():
        for path, body in (("/accounts/token", form), ("/chat/tickets", None), ("/cs/tickets", None)):
            began = time.monotonic()
            answer = await lab.system.plain.post(path, data=body, headers=headers)
            slowest = max(slowest, time.monotonic() - began)
            statuses.add(answer.status_code)
        await asyncio.sleep(0.3)
    return round(1000 * slowest), statuses
