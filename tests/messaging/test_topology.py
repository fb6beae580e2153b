"""The queues of a service at RabbitMQ, while it moves to another number of partitions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiormq import Channel

from batalkan.servers import LocalServers
from runtime.messaging import partitioning
from runtime.messaging.bus import WHOLE, Bus, BusError, Census, Message, Partition, Topology, partitions
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.messaging.partitioning import Partitioning
from tests.conftest import BusOf
from tests.harness.waiting import becomes
from tests.messaging.test_bus import numbers, publishing, take
from tests.messaging.test_rabbit import channel_of

pytestmark = pytest.mark.servers

KEYS = ["orders.OrderCancelled", "orders.OrderPacked", "orders.OrderShipped"]
SUBJECT = "an order"


@pytest.fixture
async def topology(rabbit_bus: BusOf, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Topology]:
    """That of `refunds`, whose queues are empty afterwards. Moves do not wait."""
    monkeypatch.setattr(partitioning, "SETTLING", 0)
    topology = await rabbit_bus("refunds").topology("refunds", KEYS)
    yield topology
    await topology.close()
    topology = await rabbit_bus("refunds").topology("refunds", KEYS)
    for count in (2, 1):
        await topology.empty(count)
    await topology.close()


@asynccontextmanager
async def never() -> AsyncIterator[bool]:
    """Binds no queue."""
    yield False


async def held(bus: Bus, *several: Partition) -> list[int]:
    """What the queues of these partitions hold."""
    found: list[int] = []
    for partition in several:
        gauge = await bus.gauge(partition.queue("refunds"))
        waiting = await gauge.waiting()
        await gauge.close()
        subscription = await bus.subscribe("refunds", KEYS, partition, never)
        found += numbers(await take(subscription, waiting))
        await subscription.close()
    return found


@pytest.mark.parametrize(("count", "other"), [(1, 2), (2, 1)])
async def test_former_queues_hold_a_beginning_of_each_subject(
    rabbit_bus: BusOf, topology: Topology, monkeypatch: pytest.MonkeyPatch, count: int, other: int
) -> None:
    """Events of a subject are published between all commands of a move: the former queues have the first ones, without
    a gap, and the new queues have the rest."""
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
    former, new = [await held(rabbit_bus("refunds"), *partitions(one)) for one in (count, other)]
    assert former == sent[: len(former)]
    assert sorted({*former, *new}) == sent
    assert len(new) < len(sent) > len(former) > 0


async def test_a_move_declares_what_was_deleted(servers: LocalServers, rabbit_bus: BusOf, topology: Topology) -> None:
    """The queue of the service, and the exchange in front of its new queues: what is published after the next step
    reaches the new queues, and the move goes on."""
    await topology.declare(1)
    state = Partitioning(1, "steady", None, 2, 0)
    async with channel_of(servers.rabbitmq.admin_url) as channel:
        await channel.queue_delete("refunds")
        state = await partitioning._step(topology, state)
        await channel.exchange_delete("refunds.partitions")
        state = await partitioning._step(topology, state)
        assert state.stage == "closing"
        await channel.queue_delete("refunds")
        await channel.exchange_delete("refunds.partitions")
        state = await partitioning._step(topology, state)
    assert state == Partitioning(2, "steady", None, 2, 0)
    async with publishing(rabbit_bus) as publisher:
        await publisher.publish([Message(KEYS[0], b"1", subject=SUBJECT)])
    assert await held(rabbit_bus("refunds"), *partitions(2)) == [1]


async def test_a_move_that_was_called_off_leaves_no_queue_bound(rabbit_bus: BusOf, topology: Topology) -> None:
    """Once the service has its one partition again, the others get nothing: without a consumer they would fill up."""
    await topology.declare(1)
    await topology.declare(2)
    subscription = await rabbit_bus("refunds").subscribe("refunds", KEYS, WHOLE)
    async with publishing(rabbit_bus) as publisher:
        await publisher.publish([Message(KEYS[0], b"1", subject=SUBJECT)])
    assert numbers(await take(subscription, 1)) == [1]
    assert (await topology.census(2)).waiting == 0
    await subscription.close()


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


@pytest.mark.timeout(120)
async def test_a_subject_keeps_its_partition_when_the_broker_restarts() -> None:
    """RabbitMQ hashes by the order of the bindings, and restores them by name, where 10 comes before 2."""
    async with LocalServers() as servers:
        bus = RabbitBus(servers.rabbitmq.url("refunds"), "refunds")
        topology = await bus.topology("refunds", KEYS)
        await topology.declare(12)
        await topology.close()

        async def publish() -> None:
            publisher = await RabbitBus(servers.rabbitmq.url("orders"), "orders").publisher([])
            await publisher.publish([Message(KEYS[0], one.encode(), subject=one) for one in map(str, range(60))])
            await publisher.close()

        await publish()
        await asyncio.sleep(2)  # RabbitMQ 3.10 may lose what it made within the last second
        await servers.rabbitmq.stop()
        await servers.rabbitmq.start()
        await publish()
        gauge = await bus.gauge(*(partition.queue("refunds") for partition in partitions(12)))
        await becomes(gauge.waiting, 120)
        await gauge.close()
        for found in [await held(bus, partition) for partition in partitions(12)]:
            assert sorted(found[: len(found) // 2]) == sorted(found[len(found) // 2 :]) != []
