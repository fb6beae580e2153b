"""Every event is delivered five times, shuffled with the events of other orders: the final state is the same as after
ordered single deliveries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from aio_pika import DeliveryMode, ExchangeType
from aio_pika.abc import AbstractIncomingMessage

from batalkan.invariants.stores import Stores, opened
from lab.faults.foreign_client import ForeignClient, open_foreign_client
from lab.faults.lab import Lab
from lab.faults.system import CONSUMERS
from lab.faults.workload import Workload

Messages = asyncio.Queue[AbstractIncomingMessage]
DETOUR = "foreign.events"
"""The exchange through which the foreign client delivers to the queues."""
TIMES = 5

_AT_ORDERS = """
select o.order_id, row(o.status, array(select h.status from order_history h where h.order_id = o.order_id
       order by version), array(select row(c.refund_state, c.refund_amount, c.destination)::text from cancellations c
       where c.order_id = o.order_id order by c.cancellation_id))::text as state
from orders o where o.order_id = any($1)
"""
# `refund_delayed` depends on the time, not on the order of events.
_AT_CHAT = """
select o.order_id, row(o.status_rank, array(select coalesce(m.code, m.text) from threads t join messages m
       using (thread_id) where t.order_id = o.order_id and m.code is distinct from 'refund_delayed'
       order by m.seq))::text as state from orders_known o where o.order_id = any($1)
"""
_AT_CS = """
select o.order_id, row(o.status, array(select m.code from cases c join messages m using (case_id)
       where c.order_id = o.order_id and m.code in ('order_cancelled', 'refund_issued') order by m.code))::text
       as state from orders o where o.order_id = any($1)
"""
_AT_NOTIFICATIONS = """
select order_id, array_agg(kind order by kind)::text as state from notifications
where order_id = any($1) and kind <> 'RefundDelayed' group by order_id
"""
STATES = {"orders": _AT_ORDERS, "chat": _AT_CHAT, "cs": _AT_CS, "notifications": _AT_NOTIFICATIONS}

LONG = {"orders": 1_000, "collect": 2.0}


async def run(lab: Lab, orders: int = 40, collect: float = 0.3) -> None:
    """Runs the same sagas twice: undisturbed, then repeated and shuffled; compares the final states.

    Events are collected for so many seconds before they are shuffled.
    """
    clean = await live(lab, orders)
    await lab.at_rest()
    async with open_foreign_client(lab) as foreign, between(foreign) as received, asyncio.TaskGroup() as group:
        shuffling = group.create_task(shuffle(lab, foreign, received, collect))
        shuffled = await live(lab, orders)
        await received.join()
        shuffling.cancel()
    await lab.at_rest()
    async with opened(lab.system.base.database_urls) as stores:
        before, after = await states(stores, clean), await states(stores, shuffled)
    for number in range(orders):
        one, other = before[number], after[number]
        lab.hold(one == other, f"saga {number}: {one} in order, {other} shuffled")


async def live(lab: Lab, orders: int) -> dict[int, str]:
    """Runs the sagas; returns the order of each."""
    workload = await Workload.gather(lab)
    await workload.sagas(orders)
    return workload.orders


async def states(stores: Stores, orders: dict[int, str]) -> dict[int, list[str]]:
    """The state of each saga's order at each service."""
    numbers = {UUID(order_id): number for number, order_id in orders.items()}
    found: dict[int, list[str]] = {number: [] for number in orders}
    for service, query in STATES.items():
        for row in await stores.rows(service, query, list(numbers)):
            found[numbers[row["order_id"]]].append(row["state"])
    return found


@asynccontextmanager
async def between(foreign: ForeignClient) -> AsyncIterator[Messages]:
    """Inside the block events reach the services only through the foreign client."""
    async with foreign.listening() as received:
        await foreign.channel.declare_exchange(DETOUR, ExchangeType.TOPIC, durable=True)
        await foreign.bind(*CONSUMERS, exchange=DETOUR)
        await foreign.bind(*CONSUMERS, undo=True)
        try:
            yield received
        finally:
            await foreign.bind(*CONSUMERS)
        await repeat(foreign, drained(received))
        await foreign.channel.exchange_delete(DETOUR)


async def shuffle(lab: Lab, foreign: ForeignClient, received: Messages, collect: float) -> None:
    """Collects, repeats, shuffles and delivers events until it is cancelled."""
    lab.figures["deliveries"] = 0
    while True:
        await asyncio.sleep(collect)
        await foreign.bind(*CONSUMERS, undo=True)  # the services bind their queues again at intervals
        held = drained(received)
        many = held * TIMES
        lab.chance.shuffle(many)
        await repeat(foreign, many)
        lab.figures["deliveries"] += len(many)
        for _ in held:
            received.task_done()


def drained(received: Messages) -> list[AbstractIncomingMessage]:
    """All messages that have arrived."""
    return [received.get_nowait() for _ in range(received.qsize())]


async def repeat(foreign: ForeignClient, messages: list[AbstractIncomingMessage]) -> None:
    """Delivers the messages in this order; each must be persistent."""
    for message in messages:
        persistent = message.delivery_mode == DeliveryMode.PERSISTENT
        foreign.lab.hold(persistent, f"{message.routing_key} was published as not persistent")
    await asyncio.gather(
        *(foreign.publish(message.body, message.routing_key or "", exchange=DETOUR) for message in messages)
    )
