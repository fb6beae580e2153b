"""The buyer cancels an order several times, and a piece of it, while the seller ships it, all concurrently: the order
is never both cancelled and shipped, and no piece is cancelled twice."""

import asyncio
from collections import Counter
from dataclasses import replace

import httpx

from lab.concurrency import each
from lab.faults.lab import Lab
from lab.faults.open_loop import WAITS
from lab.faults.workload import Workload
from tests.harness.actors import Buyer

CANCELS = 3
AT_ONCE = 6

LONG = {"races": 2_000}


async def run(lab: Lab, races: int = 60) -> None:
    """Runs the race for so many orders, a few concurrently."""
    workload, won = await Workload.gather(lab), Counter[str]()
    orders = await workload.paid(races)
    async with lab.system.running.client(timeout=WAITS) as http:  # a refused request is not retried
        seller = replace(workload.seller, http=http)

        async def race(one: tuple[Buyer, str]) -> None:
            buyer, order_id = replace(one[0], http=http), one[1]
            (await seller.move(order_id, "pack")).raise_for_status()
            part, *cancels, shipped = await asyncio.gather(
                workload.cancel_part(buyer, order_id),
                *(buyer.cancel(order_id) for _ in range(CANCELS)),
                seller.move(order_id, "ship"),
            )
            if part.is_success and part.json()["status"] == "cancelled":
                cancels.append(part)
            won[judge(lab, order_id, cancels, shipped)] += 1

        await each(orders, race, AT_ONCE)
    lab.figures |= won
    await lab.at_rest()


def judge(lab: Lab, order_id: str, cancels: list[httpx.Response], shipped: httpx.Response) -> str:
    """The winner according to the answers; records an accepted cancellation."""
    granted = {one.json()["cancellation"]["cancellation_id"] for one in cancels if one.is_success}
    lab.hold(
        len(granted) + shipped.is_success == 1,
        f"order {order_id} was won by {len(granted)} cancellations, and shipping was answered {shipped.status_code}",
    )
    for cancellation_id in granted:
        lab.history.accept(order_id, cancellation_id)
    return "cancelled" if granted else "shipped"
