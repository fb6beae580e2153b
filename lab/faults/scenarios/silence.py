"""Services are killed at random while customer service waits for sellers: after 24 hours the orders of silent sellers
are cancelled and refunded exactly once; the orders of sellers who answered or packed are not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from lab.concurrency import each
from lab.faults.lab import Lab
from lab.faults.outcomes import InvariantBroken
from lab.faults.random_faults import calm_dana, kill_services
from lab.faults.workload import LASTS
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import ContactedCase, contacted, system_message
from tests.harness.waiting import eventually

T = TypeVar("T")

ACTIONS = {"": "", "reply": "seller_replied", "pack": "order_packed"}
"""The sellers' actions in the 23rd hour, in turn, and the message that each adds to the case."""

LONG = {"cases": 1_000, "pause": (0.5, 3.0)}


async def run(lab: Lab, cases: int = 36, pause: tuple[float, float] = (0.5, 1.5)) -> None:
    """Contacts the sellers, moves the clock 23 hours, lets some sellers act, and moves it two more hours.

    The `pause` between two kills is in seconds.
    """
    http, keys, over = lab.system.base.http, lab.system.base.keys, asyncio.Event()
    asked: list[tuple[str, Seller, ContactedCase]] = []

    async def ask(number: int) -> None:
        seller = Seller.signed(http, keys, "seller", lasts=LASTS)
        buyer = Buyer.signed(http, keys, "buyer", lasts=LASTS)
        if number % 2:
            await buyer.link_dana(f"0813{lab.chance.randrange(10**4):04d}{number:04d}")
        order_id = await buyer.buy(await seller.offer())
        case = await kept(
            contacted(buyer, [agent], seller, order_id), f"no agent could contact the seller of order {order_id}"
        )
        asked.append((list(ACTIONS)[number % len(ACTIONS)], seller, case))

    async def act(one: tuple[str, Seller, ContactedCase]) -> None:
        action, seller, case = one
        if action == "reply":
            await case.seller(seller, action)
        elif action:
            await seller.move(case.order_id, action)  # a retry after a lost answer is refused
        if action:
            shown = system_message(case.buyer, f"/cs/cases/{case.case_id}", ACTIONS[action])
            await kept(shown, f"case {case.case_id} does not show {ACTIONS[action]}")

    async with on_duty(lab) as agent, asyncio.TaskGroup() as group:
        await close_old_cases(agent)
        fire = group.create_task(kill_services(lab, lambda: not over.is_set(), pause))
        lab.history.note("sellers are contacted")
        await each(range(cases), ask, 6)
        lab.history.note("the 23rd hour")
        await lab.system.base.advance(timedelta(hours=23))
        await each(asked, act, 6)
        lab.history.note("the 24 hours are over")
        await lab.system.base.advance(timedelta(hours=2))
        for action, _, case in asked:
            if not action:
                await kept(case.becomes("resolved"), f"case {case.case_id} is not resolved after 25 hours of silence")
        over.set()
    await calm_dana(lab)
    snapshot = await lab.at_rest()
    for action, _, case in asked:
        order = await case.buyer.order(case.order_id)
        expected = {"": "cancelled", "reply": "processing", "pack": "packed"}[action]
        lab.hold(order["status"] == expected, f"order {case.order_id} is {order['status']} after {action or 'silence'}")
    lab.figures |= {"cases": cases, "kills": fire.result().total(), "rupiah": snapshot.refunded}


async def kept(promise: Awaitable[T], sentence: str) -> T:
    """The awaited result. Raises `InvariantBroken` after a timeout."""
    try:
        return await promise
    except TimeoutError:
        raise InvariantBroken([sentence]) from None


async def close_old_cases(agent: Agent) -> None:
    """Closes the cases that other scenarios have left: they come first."""

    async def no_case_waits() -> bool:
        for case in (await agent.get("/cs/cases?state=active&limit=100"))["items"]:
            if case["agent_id"] == str(agent.account_id):
                await agent.ask("POST", f"/cs/cases/{case['case_id']}/close", {"outcome": "answered"})
        duty = await agent.get("/cs/duty")
        return bool(duty["on"] and not duty["waiting"] and not duty["load"])

    await eventually(no_case_waits, every=0.05)


@asynccontextmanager
async def on_duty(lab: Lab) -> AsyncIterator[Agent]:
    """An agent on duty, with requests at intervals, as from an open page."""
    agent = Agent.signed(lab.system.base.http, lab.system.base.keys, "agent", lasts=LASTS)

    async def look() -> None:
        while True:
            await agent.duty()
            await asyncio.sleep(5)

    looking = asyncio.create_task(look())
    try:
        yield agent
    finally:
        looking.cancel()
        await asyncio.wait({looking})
        await agent.duty(False)
