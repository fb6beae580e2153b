"""A service consumes in N partitions, and moves to another N without changing the order of any subject."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from unittest.mock import AsyncMock

import asyncpg
import pytest

from batalkan.servers import LocalServers
from runtime.messaging import partitioning
from runtime.messaging.bus import Bus, BusError, Census, Partition, Topology
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.messaging.consumer import routing_keys
from runtime.messaging.envelope import Event
from runtime.messaging.partitioning import Consumers, Partitioning
from runtime.messaging.unit_of_work import Transaction
from runtime.storage.database import Connection
from tests.conftest import BusOf
from tests.harness.waiting import becomes, eventually
from tests.messaging.buses import Unreliable
from tests.messaging.toys import Counted, Toy, Toys, message, running, write_down

THINGS = [f"thing-{number}" for number in range(24)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioning, "POLL", 0.02)
    monkeypatch.setattr(partitioning, "MOVING", 0.02)
    monkeypatch.setattr(partitioning, "SETTLING", 0)


@dataclass
class Service:
    """A service of some replicas, which write down the sequence of each event and the partition that it came from."""

    toy: Toy
    toys: Toys
    partitions: set[int] = field(default_factory=set)

    @asynccontextmanager
    async def replica(self, wanted: int = 1, bus: Bus | None = None) -> AsyncIterator[Consumers]:
        """A further replica, which consumes."""
        toy = await self.toys.on(self.toy.url, "refunds", {})
        consumers = Consumers(toy.uow, bus or toy.bus, {Counted: self.handle}, wanted)
        async with running(consumers.run()):
            await eventually(lambda: self.consumes(consumers))
            yield consumers

    async def consumes(self, consumers: Consumers) -> bool:
        """Whether it has its subscriptions."""
        return consumers.connected

    async def spread(self) -> bool:
        """Whether several partitions have had events."""
        return len(self.partitions) >= 4

    async def handle(self, tx: Transaction, event: Counted) -> Sequence[Event]:
        """Writes down, after a moment in which another partition could overtake."""
        self.partitions.add(tx.partition)
        await asyncio.sleep(0.001)
        return await write_down(tx, Counted(thing=event.thing, number=tx.sequence))

    async def moves_to(self, partitions: int) -> None:
        """Moves a running service, and waits until it has moved."""
        await self.toy.call(partitioning.want, partitions)
        await eventually(lambda: self.has_moved_to(partitions))

    async def has_moved_to(self, partitions: int) -> bool:
        """Whether it consumes in that many partitions."""
        row = await self.toy.call(partitioning.read)
        return row is not None and not row.moves and row.current == partitions


@pytest.fixture
async def service(toys: Toys) -> AsyncIterator[Service]:
    """`refunds`, with no replica yet; afterwards its partitions are empty."""
    toy = await toys.refunds()
    yield Service(toy, toys)
    topology = await toy.bus.topology("refunds", [])
    for partitions in (8, 1):
        await topology.empty(partitions)
    await topology.close()
    await toy.call(_forget)


async def _forget(connection: Connection) -> None:
    await connection.execute("update partitioning set current = 1, stage = 'steady', other = null, wanted = 1")


async def test_the_order_is_kept_while_the_number_of_partitions_changes(toys: Toys, service: Service) -> None:
    """1, 2, 5 and 1 partitions under load, while replicas come and go: each subject's events are handled 1, 2, 3, …
    Five partitions share the subjects."""
    orders, written = await toys.orders(), count(1)

    async def write() -> None:
        while True:
            async with orders.uow.begin() as tx:
                tx.publish(*(Counted(thing=thing, number=next(written)) for thing in THINGS))
            await asyncio.sleep(0.1)

    async with service.replica() as steady, running(orders.relay.run()):
        async with running(write()):
            for partitions in (2, 5):
                async with service.replica(partitions):
                    await service.moves_to(partitions)
                    await eventually(lambda: service.consumes(steady))
            await eventually(service.spread)
            await service.moves_to(1)
        (published,) = await orders.fetch("select sum(last)::integer from event_sequence")
        await becomes(service.toy.count("effects"), published)
    handled = await service.toy.fetch("select array_agg(number order by place) from effects group by thing")
    assert len(handled) == len(THINGS)
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in handled)


async def test_a_move_survives_every_interruption(toys: Toys, service: Service) -> None:
    """The broker goes away between any two steps of a move: it goes on, and every event has its effect once."""
    orders = await toys.orders()
    async with service.replica():
        await orders.publish(*range(50))
    flaky = Unreliable(service.toy.bus)
    topology = flaky.topology
    calls = count()

    async def sometimes(service: str, keys: Sequence[str]) -> object:
        if next(calls) % 2:
            raise BusError("away")
        return await topology(service, keys)

    flaky.topology = sometimes  # type: ignore[method-assign, assignment]
    async with service.replica(4, flaky), running(orders.relay.run()):
        await eventually(lambda: service.has_moved_to(4))
        await orders.publish(*range(50, 60))
        await becomes(service.toy.count("effects"), 60)
        assert await service.toy.effects() == list(range(1, 61))
    assert next(calls) > 4


class DyingBroker(Topology):
    """Binds queues, and dies."""

    async def empty(self, count: int) -> None:
        """Succeeds."""

    async def declare(self, count: int) -> None:
        """Succeeds."""

    async def unite(self, count: int) -> None:
        """Succeeds."""

    async def census(self, count: int) -> Census:
        """Fails."""
        raise BusError("away")

    async def unbind(self, count: int) -> None:
        """Must not be called."""
        raise AssertionError

    async def close(self) -> None:
        """Succeeds."""


async def test_a_broker_that_dies_after_binding_new_queues_is_given_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have lost an event that only the old queues had: the old ones stay bound, and the new ones are emptied."""
    monkeypatch.setattr(partitioning, "SETTLING", 0)
    with pytest.raises(BusError):
        await partitioning._step(DyingBroker(), Partitioning(1, "steady", None, 2, 0))


async def test_what_a_dead_consumer_held_is_handled_before_the_move(toys: Toys, service: Service) -> None:
    """The old queues count as empty only when no consumer holds a message of them."""
    keys = routing_keys({Counted: write_down}, "refunds")
    held = await service.toy.bus.subscribe("refunds", keys)
    await toys.send(message(1, sequence=1))
    await held.take(1)
    async with running(_replica(service, 8)):
        await eventually(lambda: _stage(service, "closing"))
        await asyncio.sleep(0.2)
        assert await _stage(service, "closing")
        await held.close()
        await eventually(lambda: service.has_moved_to(8))
    assert await service.toy.effects() == [1]


async def test_a_replica_that_is_frozen_in_a_step_loses_the_lock(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one can go on with the move, and what the frozen one knew is not done when it wakes up."""
    monkeypatch.setattr(partitioning, "FROZEN", 1)
    monkeypatch.setattr(partitioning, "_step", step := AsyncMock())
    bus, lock = Unreliable(service.toy.bus), "for no key update skip locked"
    opened = bus.topology

    async def freezes(name: str, keys: Sequence[str]) -> Topology:
        assert await service.toy.call(partitioning.read, lock) is None
        await eventually(lambda: service.toy.call(partitioning.read, lock))
        return await opened(name, keys)

    bus.topology = freezes  # type: ignore[method-assign, assignment]
    await service.toy.call(partitioning.want, 2)
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await Consumers(service.toy.uow, bus, {Counted: service.handle}, 2)._state()
    step.assert_not_called()


async def _replica(service: Service, wanted: int) -> None:
    async with service.replica(wanted):
        await asyncio.Future()


async def _stage(service: Service, stage: str) -> bool:
    row = await service.toy.call(partitioning.read)
    return row is not None and row.stage == stage


@pytest.mark.servers
async def test_the_queue_of_a_service_without_partitions_stays_empty(rabbit_bus: BusOf) -> None:
    """The broker binds it at each start, from its definitions. With partitions it has no consumer."""
    keys = routing_keys({Counted: write_down}, "refunds")
    bus = rabbit_bus("refunds")
    topology = await bus.topology("refunds", keys)
    await topology.declare(1)
    publisher = await rabbit_bus("orders").publisher([])
    await publisher.publish([message(1)])
    subscription = await bus.subscribe("refunds", keys, Partition(0, 8))
    await publisher.publish([message(2)])
    assert (await topology.census(1)).waiting == 0
    await publisher.close()
    await topology.empty(8)
    await topology.close()
    await subscription.close()


@pytest.mark.servers
@pytest.mark.timeout(120)
async def test_the_broker_is_killed_after_it_has_made_the_queues_of_a_move() -> None:
    """RabbitMQ 3.10 loses the last of them. The move, which starts again, finds that out, and all partitions work."""
    keys = routing_keys({Counted: write_down}, "refunds")
    async with LocalServers() as servers:
        bus, other = (RabbitBus(servers.rabbitmq.url(name), name) for name in ("refunds", "orders"))
        topology = await bus.topology("refunds", keys)
        await topology.declare(1)
        await topology.empty(2)
        await servers.rabbitmq.kill()
        await servers.rabbitmq.start()
        await topology.close()
        topology = await eventually(lambda: _emptied(bus, keys))
        await topology.declare(2)
        publisher = await other.publisher(["refunds"])
        await publisher.publish([message(number, f"thing-{number}") for number in range(20)])
        for index in range(2):
            subscription = await bus.subscribe("refunds", keys, Partition(index, 2))
            assert await subscription.take(1)
            await subscription.close()
        await publisher.close()
        await topology.close()


async def _emptied(bus: Bus, keys: Sequence[str]) -> Topology | None:
    """Two partitions' topology, once their queues are empty."""
    topology = await bus.topology("refunds", keys)
    try:
        await topology.empty(2)
    except BusError:
        await topology.close()
        return None
    return topology


async def test_a_subject_stays_in_its_partition(toys: Toys, service: Service) -> None:
    """The messages of a subject reach one queue, in their order; several queues get messages."""
    keys = routing_keys({Counted: write_down}, "refunds")
    subscriptions = [await service.toy.bus.subscribe("refunds", keys, Partition(index, 8)) for index in range(8)]
    found: dict[str, list[tuple[int, int]]] = {}

    async def collect(index: int) -> None:
        while True:
            for delivery in await subscriptions[index].take(10):
                data = json.loads(delivery.body)["data"]
                found.setdefault(data["thing"], []).append((index, data["number"]))

    async def all_found() -> int:
        return sum(map(len, found.values()))

    async with running(*map(collect, range(8))):
        await toys.send(*(message(number, thing) for number in range(5) for thing in THINGS))
        await becomes(all_found, 5 * len(THINGS))
    for subscription in subscriptions:
        await subscription.close()
    assert {tuple(number for _, number in one) for one in found.values()} == {(0, 1, 2, 3, 4)}
    queues = [{index for index, _ in one} for one in found.values()]
    assert all(len(one) == 1 for one in queues)
    assert len(set.union(*queues)) > 4
