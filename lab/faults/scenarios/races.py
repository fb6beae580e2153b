"""The buyer cancels an order several times while its seller ships it, all at the same moment: one of them wins, and the
order is never both."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace

import httpx

from lab.faults.lab import Lab
from lab.faults.open_loop import WAITS
from lab.faults.system import each
from lab.faults.workload import Workload
from tests.harness.actors import Buyer

CANCELS = 3
AT_ONCE = 6


@dataclass(frozen=True)
class Size:
    """How many orders are fought for."""

    races: int


SHORT = Size(60)
LONG = Size(2_000)


async def run(lab: Lab, size: Size) -> None:
    """Has every order fought for, a few at a time."""
    workload, won = await Workload.gather(lab), Counter[str]()
    orders = await workload.paid(size.races)
    async with lab.system.running.client(timeout=WAITS) as http:  # what is refused is not asked for again
        seller = replace(workload.seller, http=http)

        async def race(one: tuple[Buyer, str]) -> None:
            buyer, order_id = replace(one[0], http=http), one[1]
            (await seller.move(order_id, "pack")).raise_for_status()
            *cancels, shipped = await asyncio.gather(
                *(buyer.cancel(order_id) for _ in range(CANCELS)), seller.move(order_id, "ship")
            )
            won[judge(lab, order_id, cancels, shipped)] += 1

        await each(orders, race, AT_ONCE)
    lab.figures |= won
    await lab.at_rest()


def judge(lab: Lab, order_id: str, cancels: list[httpx.Response], shipped: httpx.Response) -> str:
    """Who has won by what they were told; what was said to be cancelled is kept."""
    granted = {one.json()["cancellation"]["cancellation_id"] for one in cancels if one.is_success}
    lab.hold(
        len(granted) + shipped.is_success == 1,
        f"order {order_id} was won by {len(granted)} cancellations, and shipping was answered {shipped.status_code}",
    )
    for cancellation_id in granted:
        lab.history.accept(order_id, cancellation_id)
    return "cancelled" if granted else "shipped"
