"""A foreign client publishes malformed, forged, contradictory and oversize messages, while orders are cancelled: no
money moves for them, each is parked or refused, and they cost neither memory nor time."""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.exceptions import AMQPException

from lab.bench.meters import memory
from lab.faults.foreign_client import keys_of, open_foreign_client
from lab.faults.lab import Lab
from lab.faults.system import CONSUMERS
from lab.faults.workload import Workload
from runtime.messaging.envelope import EXCHANGE, MAX_BODY
from tests.harness.waiting import eventually

GROWTH = 200.0
"""Megabytes by which all services may grow in total."""
OVERSIZE_EVERY = 100

RawEvent = dict[str, Any]
"""An envelope as JSON."""


def changed(sample: RawEvent, **fields: Any) -> bytes:
    """The event with a new id and changed fields."""
    return json.dumps(sample | {"id": str(uuid4())} | fields).encode()


def truncated(chance: Random, sample: RawEvent) -> bytes:
    """The beginning of the event's JSON."""
    text = json.dumps(sample)
    return text[: chance.randrange(1, len(text) - 1)].encode() + str(uuid4()).encode()


OVERSIZE = "larger than the limit"
KINDS: Mapping[str, Callable[[Random, RawEvent], bytes]] = {
    "invalid data": lambda chance, sample: changed(sample, data={"paid_amount": -chance.randrange(1, 10**9)}),
    "another source than the routing key's": lambda _, sample: changed(sample, source="accounts"),
    "another subject than the data's": lambda _, sample: changed(sample, subject=str(uuid4())),
    "an unknown version": lambda _, sample: changed(sample, dataschema=f"urn:batalkan:event:{sample['type']}:99"),
    "a type without consumers": lambda _, sample: changed(sample, type="OrderStolen"),
    "truncated JSON": truncated,
    "random bytes": lambda chance, _: b"\xff\x00" + chance.randbytes(chance.randrange(1, 2_000)),
    "deeply nested lists": lambda chance, _: b"[" * 20_000 + str(chance.random()).encode(),
    OVERSIZE: lambda chance, sample: changed(sample, padding="x" * (MAX_BODY + chance.randrange(1, 100_000))),
}
"""Messages that no service may act on, made of a real event, which each changes in one respect."""
NOT_OVERSIZE = [kind for kind in KINDS if kind != OVERSIZE]

LONG = {"messages": 5_000, "cancels": 200, "slower": 2.0}


async def run(lab: Lab, messages: int = 300, cancels: int = 20, slower: float = 10.0) -> None:
    """Measures `cancels` without and with the hostile messages, which may make a refund `slower` by that factor; counts
    the parked messages."""
    workload = await Workload.gather(lab)
    async with open_foreign_client(lab) as foreign, foreign.listening() as received:
        calm = await timed(workload, cancels)
        ((buyer, order_id),) = await workload.paid(1)
        await workload.cancel_in_the_thread(buyer, order_id)  # to have a sample of OrderCancelRequested
        samples: dict[str, RawEvent] = {}
        while "chat.OrderCancelRequested" not in samples:
            message = await asyncio.wait_for(received.get(), 30)
            samples[str(message.routing_key)] = json.loads(message.body)
    before, grown = await lab.at_rest(), megabytes(lab)
    async with asyncio.TaskGroup() as group:
        attack = group.create_task(bombard(lab, messages, samples))
        busy = await timed(workload, cancels)
    kinds = attack.result()
    refused = await publish_as_others(lab)
    parked = await remove_parked(lab, messages)
    after = await lab.at_rest()
    grown = megabytes(lab) - grown
    lab.figures |= {"messages": messages, "parked": parked, "refused": refused, "kinds": len(kinds)}
    lab.figures |= {"calm_ms": round(1000 * calm), "busy_ms": round(1000 * busy), "grown_mb": grown}
    lab.hold(parked == messages and not after.parked, f"{parked} of {messages} messages are parked")
    lab.hold(kinds == KINDS.keys(), f"only these kinds were sent: {sorted(kinds)}")
    lab.hold(refused == len(CONSUMERS), f"only {refused} services were refused to publish for another")
    lab.hold(after.refunds - before.refunds == cancels, f"{after.refunds - before.refunds} refunds were made")
    lab.hold(grown < GROWTH, f"the services grew by {grown} MB")
    lab.hold(busy < slower * calm, f"a refund took {busy:.2f} s, but {calm:.2f} s without hostile messages")


async def remove_parked(lab: Lab, expected: int) -> int:
    """The number of parked messages, once it is the expected one or 30 seconds have passed. Then it deletes them: many
    have the id of an event, and would count as consumed events."""
    base = lab.system.base

    async def parked() -> int:
        return sum([await base.count(consumer, "parked") for consumer in CONSUMERS])

    with suppress(TimeoutError):
        await eventually(parked, within=30, every=0.1, enough=lambda count: count >= expected)
    found = await parked()
    await lab.until_fires("MessagesParked")
    for consumer in CONSUMERS:
        await base.run(consumer, "delete from parked")
    await lab.until_silent("MessagesParked")
    return found


async def timed(workload: Workload, cancels: int) -> float:
    """Median seconds from the request until the order shows its refund, to Lazada Credit."""
    buyer = workload.buyers[1]
    seconds = []
    for number in range(cancels):
        order_id = await workload.place(buyer, number)
        (await buyer.move(order_id, "pay")).raise_for_status()
        began = time.monotonic()
        await workload.cancel(buyer, order_id)
        await buyer.refund(order_id)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


def megabytes(lab: Lab) -> int:
    """The memory of all services."""
    watched = lab.system.running.processes.watched
    return round(sum(memory(one.child.pid) for name, one in watched.items() if name != "dana" and one.child.pid))


async def bombard(lab: Lab, messages: int, samples: Mapping[str, RawEvent]) -> set[str]:
    """Sends the messages, made of real events, directly to the queue of one consumer each; returns the kinds."""
    kinds = set()
    async with open_foreign_client(lab) as foreign:
        for number in range(messages):
            consumer = CONSUMERS[number % len(CONSUMERS)]
            exchange = await detour(foreign.channel, consumer)
            kind = OVERSIZE if number % OVERSIZE_EVERY == 0 else lab.chance.choice(NOT_OVERSIZE)
            key = lab.chance.choice([key for key in keys_of(consumer) if key in samples])
            await foreign.publish(KINDS[kind](lab.chance, samples[key]), key, exchange=exchange, bad=True)
            kinds.add(kind)
        for consumer in CONSUMERS:
            await foreign.channel.exchange_delete(await detour(foreign.channel, consumer))
    return kinds


async def detour(channel: Any, consumer: str) -> str:
    """An exchange that routes all keys to one consumer's queue."""
    name = f"foreign.{consumer}"
    await channel.declare_exchange(name, aio_pika.ExchangeType.FANOUT, durable=True)
    await (await channel.get_queue(consumer, ensure=False)).bind(name)
    return name


async def publish_as_others(lab: Lab) -> int:
    """Each consumer tries to publish as another service; returns how often the broker refused."""
    refused = 0
    for consumer in CONSUMERS:
        other = "orders" if consumer != "orders" else "refunds"
        async with open_foreign_client(lab, consumer, publisher_confirms=True) as foreign:
            try:
                exchange = await foreign.channel.get_exchange(EXCHANGE, ensure=False)
                await exchange.publish(aio_pika.Message(b"{}"), f"{other}.OrderCancelled", timeout=5)
            except (AMQPException, TimeoutError):
                refused += 1
    return refused
