"""The queues, exchanges and bindings of a service at RabbitMQ.

Without partitions: the topic exchange → queue `<service>`. With N > 1: the topic exchange → consistent-hash exchange
`<service>.partitions`, which hashes the header `subject` → queues `<service>.0` … `<service>.N-1`. Always:
`<service>.dead`, a fanout exchange and a queue, for messages that reach the delivery limit. In a move, the queues that
the service leaves get their messages through the fanout exchange `<service>`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from aiormq import Channel
from pamqp.common import FieldTable

from runtime.messaging.bus import DELIVERY_LIMIT, BusError, Census, Partition, partitions
from runtime.messaging.bus.connection import CLOSE_TIMEOUT, RabbitConnection, bus_errors, close
from runtime.messaging.envelope import EXCHANGE

HASHED = "subject"
"""The header of a message that the consistent-hash exchange hashes."""
UNANSWERED = 0.25
"""Seconds after which RabbitMQ counts no messages and no consumers in a queue whose leader has not answered it."""
TRIES = 3
"""Counts of a queue, until one is answered in less time. The time is measured in a process that has other work, too."""


def queue_arguments(service: str) -> FieldTable:
    """The arguments of a service's queues; RabbitMQ refuses a declaration with others."""
    return {
        "x-queue-type": "quorum",
        # One replica at a time: else two events of one subject could be handled concurrently.
        "x-single-active-consumer": True,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": f"{service}.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def hash_exchange(service: str) -> str:
    """The exchange in front of the partitions of a service."""
    return f"{service}.partitions"


async def declare(channel: Channel, service: str, routing_keys: Sequence[str], count: int) -> None:
    """Declares the queues of a service with their bindings, and its dead-letter queue, last."""
    dead = f"{service}.dead"
    await channel.exchange_declare(dead, exchange_type="fanout", durable=True)
    await _declare_queues(channel, service, count)
    for routing_key in routing_keys:
        if count > 1:
            await channel.exchange_bind(destination=hash_exchange(service), source=EXCHANGE, routing_key=routing_key)
        else:
            await channel.queue_bind(service, EXCHANGE, routing_key)
    await channel.queue_declare(dead, durable=True, arguments={"x-queue-type": "quorum"})
    await channel.queue_bind(dead, dead)


async def _declare_queues(channel: Channel, service: str, count: int) -> None:
    await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    # RabbitMQ hashes by the order of the bindings: that in which they came and, from its restart on, that of the names.
    queues = sorted(partitions(count), key=lambda partition: partition.queue(service))
    for partition in queues:
        await declare_queue(channel, service, partition)
    if count > 1:
        hashing = hash_exchange(service)
        arguments: FieldTable = {"hash-header": HASHED}
        await channel.exchange_declare(hashing, exchange_type="x-consistent-hash", durable=True, arguments=arguments)
        # All before the first message: a queue that joins later takes subjects from the others.
        for partition in queues:
            await channel.queue_bind(partition.queue(service), hashing, routing_key="1")


async def declare_queue(channel: Channel, service: str, partition: Partition) -> None:
    """Declares the queue of a partition."""
    await channel.queue_declare(partition.queue(service), durable=True, arguments=queue_arguments(service))


async def unite(channel: Channel, service: str, routing_keys: Sequence[str], count: int) -> None:
    """Replaces the bindings of these queues, one for each routing key, by a single one, without a gap."""
    await _declare_queues(channel, service, count)
    await channel.exchange_declare(service, exchange_type="fanout", durable=True)
    if count > 1:
        await channel.exchange_bind(destination=hash_exchange(service), source=service)
    else:
        await channel.queue_bind(service, service)
    for routing_key in routing_keys:
        await channel.exchange_bind(destination=service, source=EXCHANGE, routing_key=routing_key)
    await _unbind_keys(channel, service, routing_keys, count)


async def unbind(channel: Channel, service: str, routing_keys: Sequence[str], count: int) -> None:
    """The queues of these partitions, which are declared if they are missing, get no further message."""
    await _unbind(channel, service, routing_keys, count)
    for partition in partitions(count):
        await declare_queue(channel, service, partition)


async def _unbind(channel: Channel, service: str, routing_keys: Sequence[str], count: int) -> None:
    if count > 1:
        await channel.exchange_unbind(destination=hash_exchange(service), source=service)
    else:
        await channel.queue_unbind(service, service)
    await _unbind_keys(channel, service, routing_keys, count)


async def _unbind_keys(channel: Channel, service: str, routing_keys: Sequence[str], count: int) -> None:
    for routing_key in routing_keys:
        if count > 1:
            await channel.exchange_unbind(destination=hash_exchange(service), source=EXCHANGE, routing_key=routing_key)
        else:
            await channel.queue_unbind(service, EXCHANGE, routing_key)


async def leave_others(channel: Channel, service: str, routing_keys: Sequence[str], count: int) -> None:
    """No other queues get the service's messages: one that is bound without a consumer would fill the broker's disk.
    The broker's definitions may have bound the one queue, and a move that was called off those of the partitions."""
    if count > 1:
        await empty(channel, service, routing_keys, 1)
    else:
        await _unbind(channel, service, routing_keys, 2)  # or more: they share the exchange


async def empty(channel: Channel, service: str, routing_keys: Sequence[str], count: int) -> None:
    """Unbinds and empties the queues of these partitions. They stay, since RabbitMQ 3.10 loses a
    new quorum queue if it is killed within a second. A queue that does not answer is deleted; raises `BusError`."""
    await unbind(channel, service, routing_keys, count)
    if count > 1:  # with its bindings to the queues of an earlier number
        await channel.exchange_delete(hash_exchange(service))
    for partition in partitions(count):
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await channel.queue_purge(partition.queue(service))
        except TimeoutError:  # which has closed the channel
            again = await channel.connection.channel()
            await again.queue_delete(partition.queue(service))
            raise


@dataclass
class RabbitTopology:
    """Changes the queues of a service."""

    _connection: RabbitConnection
    _channel: Channel
    _service: str
    _routing_keys: Sequence[str]

    async def declare(self, count: int) -> None:
        with bus_errors("declaring queues"):
            await declare(self._channel, self._service, self._routing_keys, count)

    async def unite(self, count: int) -> None:
        with bus_errors("binding queues"):
            await unite(self._channel, self._service, self._routing_keys, count)

    async def unbind(self, count: int) -> None:
        with bus_errors("unbinding queues"):
            await unbind(self._channel, self._service, self._routing_keys, count)

    async def census(self, count: int) -> Census:
        found = [await self._counted(partition) for partition in partitions(count)]
        return Census(sum(one.waiting for one in found), sum(one.consumers for one in found))

    async def _counted(self, partition: Partition) -> Census:
        for _ in range(TRIES):
            began = monotonic()
            found = await census(self._channel, [partition.queue(self._service)])
            if monotonic() - began < UNANSWERED:
                return found
        raise BusError("a queue did not answer in time")

    async def empty(self, count: int) -> None:
        with bus_errors("emptying queues"):
            await empty(self._channel, self._service, self._routing_keys, count)

    async def close(self) -> None:
        await close(self._connection)


async def census(channel: Channel, queues: Sequence[str]) -> Census:
    """Counts what is in these queues; raises `BusError` unless all exist."""
    with bus_errors("measuring"):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            found = [await channel.queue_declare(queue, passive=True) for queue in queues]
    return Census(sum(one.message_count or 0 for one in found), sum(one.consumer_count or 0 for one in found))


def priority(replica: int, partition: Partition) -> FieldTable:
    """The arguments of a consumer: RabbitMQ 4 makes the one of the highest priority the active one. A hash of replica
    and partition spreads the partitions over the replicas; RabbitMQ 3 ignores it."""
    return {"x-priority": (replica ^ partition.index * 0x9E3779B1) * 0x85EBCA6B % 2**31} if partition.count > 1 else {}
