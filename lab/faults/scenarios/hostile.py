"""A foreign client publishes malformed, forged, contradictory and oversize messages, while orders are cancelled: no
money moves for them, each is parked or refused, and they cost neither memory nor time."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar
from uuid import uuid4

import aio_pika
from aio_pika.exceptions import AMQPException

from lab.bench.meters import memory
from lab.faults.foreign_client import CONSUMERS, keys_of, open_foreign_client
from lab.faults.lab import Lab
from lab.faults.workload import Workload
from runtime.messaging.envelope import EXCHANGE, MAX_BODY
from tests.harness.waiting import eventually

GROWTH = 200.0
"""Megabytes by which all services may grow in total."""
SLOWER = 2.0
"""The maximum factor by which a refund may become slower."""
OVERSIZE_EVERY = 100

T = TypeVar("T")
RawEvent = dict[str, Any]
"""An envelope as JSON."""


@dataclass(frozen=True)
class Size:
    """The number of hostile messages, and of cancellations that are measured before and during them."""

    messages: int
    cancels: int
    slower: float = SLOWER


SHORT = Size(300, 20, slower=10.0)
LONG = Size(5_000, 200)


async def run(lab: Lab, size: Size) -> None:
    """Measures cancellations without and with the hostile messages; counts the parked messages."""
    workload = await Workload.gather(lab)
    async with open_foreign_client(lab) as foreign, foreign.listening() as received:
        calm = await timed(lab, workload, size)
        ((buyer, order_id),) = await workload.paid(1)
        await workload.cancel_in_the_thread(buyer, order_id)  # to have a sample of OrderCancelRequested
        samples = {str(one.routing_key): json.loads(one.body) async for one in emptied(received)}
    lab.hold("chat.OrderCancelRequested" in samples, f"no OrderCancelRequested among {sorted(samples)}")
    before, grown = await lab.at_rest(), megabytes(lab)
    async with asyncio.TaskGroup() as group:
        attack = group.create_task(bombard(lab, size, samples))
        busy = await timed(lab, workload, size)
    kinds = attack.result()
    refused = await publish_as_others(lab)
    parked = await remove_parked(lab, size.messages)
    after = await lab.at_rest()
    lab.figures |= {"messages": size.messages, "parked": parked, "refused": refused}
    lab.figures |= {"kinds": len(kinds)}
    lab.figures |= {"calm_ms": round(1000 * calm), "busy_ms": round(1000 * busy), "grown_mb": megabytes(lab) - grown}
    lab.hold(parked == size.messages and not after.parked, f"{parked} of {size.messages} messages are parked")
    lab.hold(len(kinds) == len(KINDS) + 1, f"only these kinds were sent: {sorted(kinds)}")
    lab.hold(
        refused == len(CONSUMERS), f"only {refused} of {len(CONSUMERS)} services were refused to publish for another"
    )
    lab.hold(after.refunds - before.refunds == size.cancels, f"{after.refunds - before.refunds} refunds were made")
    lab.hold(megabytes(lab) - grown < GROWTH, f"the services grew by {megabytes(lab) - grown} MB")
    lab.hold(busy < size.slower * calm, f"a refund took {busy:.2f} s, but {calm:.2f} s without hostile messages")


async def remove_parked(lab: Lab, expected: int) -> int:
    """The number of parked messages, once it is the expected one or 30 seconds have passed. Then it deletes them: many
    have the id of an event, and would count as consumed events."""
    base = lab.system.base

    async def parked() -> int:
        return sum([await base.count(consumer, "parked") for consumer in CONSUMERS])

    async def enough() -> bool:
        return await parked() >= expected

    with suppress(TimeoutError):
        await eventually(enough, within=30, every=0.1)
    found = await parked()
    for consumer in CONSUMERS:
        await base.run(consumer, "delete from parked")
    return found


async def timed(lab: Lab, workload: Workload, size: Size) -> float:
    """Median seconds from the request until the order shows its refund, to Lazada Credit."""
    buyer = workload.buyers[1]
    seconds = []
    for number in range(size.cancels):
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


async def emptied(queue: "asyncio.Queue[T]") -> AsyncIterator[T]:
    """The messages of the queue, until none has arrived for a second."""
    with suppress(TimeoutError):
        while True:
            yield await asyncio.wait_for(queue.get(), 1)


async def bombard(lab: Lab, size: Size, samples: Mapping[str, RawEvent]) -> set[str]:
    """Sends the messages, made of real events, directly to the queue of one consumer each; returns the kinds."""
    kinds = set()
    async with open_foreign_client(lab) as foreign:
        for number in range(size.messages):
            consumer = CONSUMERS[number % len(CONSUMERS)]
            exchange = await detour(foreign.channel, consumer)
            kind = oversize if number % OVERSIZE_EVERY == 0 else lab.chance.choice(KINDS)
            key = lab.chance.choice([key for key in keys_of(consumer) if key in samples])
            await foreign.publish(kind(lab.chance, samples[key]), key, exchange=exchange, bad=True)
            kinds.add(kind.__name__)
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


def with_new_id(sample: RawEvent, **changed: Any) -> RawEvent:
    """The event with a new id and changed fields."""
    return sample | {"id": str(uuid4())} | changed


def wrong_shape(chance: Random, sample: RawEvent) -> bytes:
    """Invalid data."""
    return json.dumps(with_new_id(sample, data={"paid_amount": -chance.randrange(1, 10**9)})).encode()


def forged(_: Random, sample: RawEvent) -> bytes:
    """Another source than the routing key's; otherwise valid."""
    return json.dumps(with_new_id(sample, source="accounts")).encode()


def misnamed(_: Random, sample: RawEvent) -> bytes:
    """Another subject than the data's."""
    return json.dumps(with_new_id(sample, subject=str(uuid4()))).encode()


def from_the_future(_: Random, sample: RawEvent) -> bytes:
    """An unknown version."""
    return json.dumps(with_new_id(sample, dataschema=f"urn:batalkan:event:{sample['type']}:99")).encode()


def unknown(_: Random, sample: RawEvent) -> bytes:
    """A type without consumers."""
    return json.dumps(with_new_id(sample, type="OrderStolen")).encode()


def broken_json(chance: Random, sample: RawEvent) -> bytes:
    """Truncated JSON."""
    text = json.dumps(sample)
    return text[: chance.randrange(1, len(text) - 1)].encode() + str(uuid4()).encode()


def noise(chance: Random, _: RawEvent) -> bytes:
    """Random bytes."""
    return b"\xff\x00" + chance.randbytes(chance.randrange(1, 2_000))


def deep(chance: Random, _: RawEvent) -> bytes:
    """Deeply nested lists, against the parser."""
    return b"[" * 20_000 + str(chance.random()).encode()


def oversize(chance: Random, sample: RawEvent) -> bytes:
    """Larger than the limit; otherwise valid."""
    return json.dumps(with_new_id(sample, padding="x" * (MAX_BODY + chance.randrange(1, 100_000)))).encode()


KINDS: tuple[Callable[[Random, RawEvent], bytes], ...] = (
    wrong_shape,
    forged,
    misnamed,
    from_the_future,
    unknown,
    broken_json,
    noise,
    deep,
)
