"""The queues of a service at RabbitMQ, while it moves to another number of partitions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiormq import Channel

from batalkan.servers import LocalServers
from runtime.messaging import partitioning
from runtime.messaging.bus import BusError, Census, Message, Topology, partitions
from runtime.messaging.partitioning import Partitioning
from tests.conftest import BusOf
from tests.messaging.test_bus import numbers, publishing, take

pytestmark = pytest.mark.servers

KEYS = ["orders.OrderCancelled", "orders.OrderPacked", "orders.OrderShipped"]
SUBJECT = "an order"


@pytest.fixture
async def topology(rabbit_bus: BusOf) -> AsyncIterator[Topology]:
    """That of `refunds`, whose queues are empty afterwards."""
    topology = await rabbit_bus("refunds").topology("refunds", KEYS)
    yield topology
    await topology.close()
    topology = await rabbit_bus("refunds").topology("refunds", KEYS)
    for count in (1, 2):
        await topology.empty(count)
    await topology.close()


@pytest.mark.parametrize(("count", "other"), [(1, 2), (2, 1)])
async def test_former_queues_hold_a_beginning_of_each_subject(
    rabbit_bus: BusOf, topology: Topology, monkeypatch: pytest.MonkeyPatch, count: int, other: int
) -> None:
    """Events of a subject are published between all commands of a move: the former queues have the first ones, without
    a gap, and the new queues have the rest."""
    monkeypatch.setattr(partitioning, "SETTLING", 0)
    sent: list[int] = []
    async with publishing(rabbit_bus) as publisher:

        async def publish() -> None:
            for key in KEYS:
                sent.append(len(sent))
                await publisher.publish([Message(key, b"%d" % sent[-1], subject=SUBJECT)])

        def then_publish(command: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def wrapped(self: Channel, *arguments: Any, **options: Any) -> Any:
                result = await command(self, *arguments, **options)
                await publish()
                return result

            return wrapped

        await topology.declare(count)
        with monkeypatch.context() as patch:
            for name in ("queue_bind", "queue_unbind", "exchange_bind", "exchange_unbind"):
                patch.setattr(Channel, name, then_publish(getattr(Channel, name)))
            state = Partitioning(count, "steady", None, other, 0)
            for _ in range(2):
                state = await partitioning._step(topology, state)
    assert state.stage == "draining"
    former, new = [await held(rabbit_bus, one) for one in (count, other)]
    assert former == sent[: len(former)]
    assert sorted({*former, *new}) == sent
    assert len(new) < len(sent) > len(former) > 0


@asynccontextmanager
async def never() -> AsyncIterator[bool]:
    """Binds no queue."""
    yield False


async def held(rabbit_bus: BusOf, count: int) -> list[int]:
    """What the queues of these partitions hold."""
    bus, found = rabbit_bus("refunds"), list[int]()
    for partition in partitions(count):
        gauge = await bus.gauge(partition.queue("refunds"))
        waiting = await gauge.waiting()
        await gauge.close()
        subscription = await bus.subscribe("refunds", KEYS, partition, never)
        found += numbers(await take(subscription, waiting))
        await subscription.close()
    return found


async def test_a_queue_that_does_not_answer_is_not_counted_as_empty(
    servers: LocalServers, rabbit_bus: BusOf, topology: Topology
) -> None:
    """RabbitMQ answers after 250 ms that it has no messages and no consumers; a move would leave its messages there."""
    await topology.declare(1)
    async with publishing(rabbit_bus) as publisher:
        await publisher.publish([Message(KEYS[0], b"")])
    assert await topology.census(1) == Census(1, 0)
    await servers.rabbitmq.control("eval", "sys:suspend(batalkan_refunds).")
    try:
        with pytest.raises(BusError):
            await topology.census(1)
    finally:
        await servers.rabbitmq.control("eval", "sys:resume(batalkan_refunds).")
