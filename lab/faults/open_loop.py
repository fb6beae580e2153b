"""Cancelling at a steady rate, whatever the answers do: each latency counts from the moment at which it was due."""

import asyncio
import statistics
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter

import httpx

from lab.faults.lab import Lab
from tests.harness.actors import Buyer

WAITS = 30.0
"""Seconds that a client waits for its answer."""


@dataclass
class Answers:
    """What a steady stream of cancellations was answered: seconds each took, and their statuses."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def p99(self) -> float:
        """Seconds that all but one in a hundred needed less than."""
        return statistics.quantiles(self.seconds, n=100)[98] if len(self.seconds) > 1 else max(self.seconds)

    @property
    def median(self) -> float:
        """Seconds that half of them needed less than."""
        return statistics.median(self.seconds)


async def cancel_steadily(lab: Lab, orders: list[tuple[Buyer, str]], rate: float) -> Answers:
    """Cancels each order, `rate` of them a second, asking once."""
    answers, loop = Answers(), asyncio.get_running_loop()
    began = loop.time()
    async with lab.system.running.client(timeout=WAITS) as http, asyncio.TaskGroup() as group:
        for number, (buyer, order_id) in enumerate(orders):
            await asyncio.sleep(began + number / rate - loop.time())
            group.create_task(_cancel(lab, http, buyer, order_id, answers))
    return answers


async def _cancel(lab: Lab, http: httpx.AsyncClient, buyer: Buyer, order_id: str, answers: Answers) -> None:
    due = perf_counter()
    answer = await http.post(f"/orders/{order_id}/cancel", headers={"Authorization": f"Bearer {buyer.token}"})
    answers.seconds.append(perf_counter() - due)
    answers.statuses[answer.status_code] += 1
    if answer.is_success:
        lab.history.accept(order_id, answer.json()["cancellation"]["cancellation_id"])
