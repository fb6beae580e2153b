"""Cancels at a fixed rate (open loop): each latency counts from the moment at which the request was due."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from time import perf_counter

import httpx

from lab.bench.meters import percentiles
from lab.faults.lab import Lab
from tests.harness.actors import Buyer

WAITS = 30.0
"""Seconds that a client waits for an answer."""


@dataclass
class Answers:
    """The answers to a stream of cancellations: seconds of each, and their statuses."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def milliseconds(self) -> dict[str, float]:
        """Median, 99th percentile and maximum."""
        return percentiles(self.seconds)


async def cancel_steadily(lab: Lab, orders: list[tuple[Buyer, str]], rate: float) -> Answers:
    """Cancels each order with one request, `rate` requests per second."""
    answers, loop = Answers(), asyncio.get_running_loop()
    began = loop.time()
    async with lab.system.running.client(timeout=WAITS) as http, asyncio.TaskGroup() as group:
        for number, (buyer, order_id) in enumerate(orders):
            await asyncio.sleep(began + number / rate - loop.time())
            group.create_task(_cancel(lab, http, buyer, order_id, answers))
    return answers


async def _cancel(lab: Lab, http: httpx.AsyncClient, buyer: Buyer, order_id: str, answers: Answers) -> None:
    due = perf_counter()
    answer = await replace(buyer, http=http).cancel(order_id)
    answers.seconds.append(perf_counter() - due)
    answers.statuses[answer.status_code] += 1
    if answer.is_success:
        lab.history.accept(order_id, answer.json()["cancellation"]["cancellation_id"])
