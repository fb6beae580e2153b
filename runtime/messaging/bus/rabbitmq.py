"""The bus over RabbitMQ: quorum queues, persistent messages, publisher confirms."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

import aiormq
from aiormq import Channel
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.common import FieldTable

from runtime.messaging.bus import (
    WHOLE,
    BindingGuard,
    BusError,
    Delivery,
    Gauge,
    Message,
    Partition,
    Publisher,
    Subscription,
    Topology,
    Unroutable,
    always,
    topology,
)
from runtime.messaging.bus.connection import RabbitConnection, bus_errors, close, connect, nodes, open_channel
from runtime.messaging.envelope import CONTENT_TYPE, EXCHANGE
from runtime.observability.trace_context import new_id

OPEN_TIMEOUT = 10.0
"""Seconds for declaring and subscribing: while a node is cut off, another one may wait for it."""
BIND_TIMEOUT = 4.0
"""Seconds for binding. A node that is cut off has to agree to a binding until the others notice that it is gone."""
PUBLISH_TIMEOUT = 10.0
"""Seconds. A publish that timed out may have arrived."""
PREFETCH = 256
PERSISTENT = 2
REDECLARE = 10.0
"""Seconds between two declarations of a queue and its bindings. If they are deleted, the service is cut off for this
time, and not until its restart."""


class RabbitBus:
    """Publishers and subscriptions at the broker of `url` (`amqp://user:password@host:port,…/vhost`)."""

    def __init__(self, url: str, client: str) -> None:
        self._nodes = nodes(url)
        self._client = client
        self._replica = random.getrandbits(31)

    async def publisher(self, consumers: Sequence[str]) -> Publisher:
        async with self._connection("publishes") as connection:
            return await _RabbitPublisher.open(connection, consumers)

    async def subscribe(
        self, service: str, routing_keys: Sequence[str], partition: Partition = WHOLE, guard: BindingGuard = always
    ) -> Subscription:
        async with self._connection("consumes") as connection:
            arguments = topology.priority(self._replica, partition)
            return await _RabbitSubscription.open(connection, service, routing_keys, partition, guard, arguments)

    async def gauge(self, *queues: str) -> Gauge:
        async with self._connection("measures") as connection:
            return _RabbitGauge(connection, await open_channel(connection), queues)

    async def topology(self, service: str, routing_keys: Sequence[str]) -> Topology:
        async with self._connection("moves") as connection:
            return topology.RabbitTopology(connection, await open_channel(connection), service, routing_keys)

    @asynccontextmanager
    async def _connection(self, does: str) -> AsyncIterator[RabbitConnection]:
        """A new connection, which stays open unless the block fails."""
        connection = await connect(self._nodes, f"{self._client} {does}")
        try:
            with bus_errors("RabbitMQ is not ready"):
                async with asyncio.timeout(OPEN_TIMEOUT):
                    yield connection
        except BaseException:
            await close(connection)
            raise


@dataclass
class _RabbitPublisher:
    _connection: RabbitConnection
    _channel: Channel

    @classmethod
    async def open(cls, connection: RabbitConnection, consumers: Sequence[str]) -> Self:
        # One channel for all: a node that has lost another may take seconds to open each.
        channel = await open_channel(connection, publisher_confirms=True, on_return_raises=True)
        # A subscriber declares the dead-letter queue last: if it exists, the bindings exist too.
        for name in consumers:
            await channel.queue_declare(f"{name}.dead", passive=True)
        await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
        return cls(connection, channel)

    async def publish(self, messages: Sequence[Message]) -> None:
        if self._channel.is_closed:
            raise BusError("the connection to RabbitMQ was lost")
        with bus_errors("publishing"):
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                results = await asyncio.gather(*map(self._publish, messages), return_exceptions=True)
        outcomes = list(zip(messages, results, strict=True))
        returned = [message for message, result in outcomes if isinstance(result, aiormq.PublishError)]
        faults = [result for result in results if isinstance(result, BaseException)]
        if len(faults) > len(returned):
            raise BusError(f"{len(faults)} of {len(messages)} messages were not confirmed: {faults[0]!r}")
        if returned:
            raise Unroutable(returned)

    async def _publish(self, message: Message) -> None:
        await self._channel.basic_publish(
            message.body,
            exchange=EXCHANGE,
            routing_key=message.routing_key,
            mandatory=message.mandatory,
            properties=Basic.Properties(
                content_type=CONTENT_TYPE,
                delivery_mode=PERSISTENT,
                # New for each attempt: the client matches returned messages by it. The event's id is in the body.
                message_id=new_id().hex,
                headers={topology.HASHED: message.subject},
            ),
            wait=False,  # for the socket; the confirm comes later anyway
        )
        message.confirmed()

    async def close(self) -> None:
        await close(self._connection)


class _RabbitSubscription:
    def __init__(self, connection: RabbitConnection, channel: Channel, queues: Sequence[str]) -> None:
        self._connection = connection
        self._channel = channel
        self._queues = queues
        self._measuring: Channel | None = None
        """A channel of its own: measuring a queue that is missing closes it."""
        self._arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
        self._redeclaring: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        connection: RabbitConnection,
        service: str,
        routing_keys: Sequence[str],
        partition: Partition,
        guard: BindingGuard,
        arguments: FieldTable,
    ) -> Self:
        channel = await open_channel(connection)
        own = partition.queue(service)
        subscription = cls(connection, channel, [own] if partition.index else [own, f"{service}.dead"])
        # All that a subscription may hold: with less, messages returned to the queue would change their order.
        await channel.basic_qos(prefetch_count=PREFETCH)
        await topology.declare_queue(channel, service, partition)
        if not partition.index and not await subscription._bind(service, routing_keys, partition.count, guard):
            async with _another_channel(connection) as another:  # consumes if all was bound before: it is declared last
                await another.queue_declare(f"{service}.dead", passive=True)
        connection.closing.add_done_callback(subscription._wake)
        channel.closing.add_done_callback(subscription._wake)
        # The broker cancels a consumer whose queue was deleted: the subscription ends, and the next one declares it.
        channel.on_consumer_cancel_callbacks.add(subscription._wake)
        await channel.basic_consume(partition.queue(service), subscription._arrived.put, arguments=arguments)
        if not partition.index:
            redeclare = subscription._redeclare(service, routing_keys, partition.count, guard)
            subscription._redeclaring = asyncio.create_task(redeclare)
        return subscription

    async def _bind(self, service: str, routing_keys: Sequence[str], count: int, guard: BindingGuard) -> bool:
        """Binds the queues, over a channel of its own, because a timeout closes it. Returns whether the broker has
        answered in time."""
        async with guard() as allowed:
            if not allowed:
                return True
            try:  # within the guard, which would take it for a timeout of the database
                async with asyncio.timeout(BIND_TIMEOUT), _another_channel(self._connection) as channel:
                    await topology.declare(channel, service, routing_keys, count)
                    await topology.leave_others(channel, service, routing_keys, count)
            except TimeoutError:
                return False
        return True

    async def _redeclare(self, service: str, routing_keys: Sequence[str], count: int, guard: BindingGuard) -> None:
        """Binds again and again. Without an answer the subscription goes on: deliveries need none, and a connection
        that is dead has no heartbeats."""
        with suppress(BusError), bus_errors("declaring again"):
            while True:
                await asyncio.sleep(REDECLARE)
                await self._bind(service, routing_keys, count, guard)
        self._wake()

    def _wake(self, *_: object) -> None:
        self._arrived.put_nowait(None)

    async def take(self, limit: int) -> list[Delivery]:
        messages = [await self._arrived.get()]
        while len(messages) < limit and not self._arrived.empty():
            messages.append(self._arrived.get_nowait())
        if None in messages:
            raise BusError("the connection to RabbitMQ was lost")
        return [_delivery(message) for message in messages if message is not None]

    async def acknowledge(self, last: Delivery) -> None:
        with bus_errors("not acknowledged"):
            await self._channel.basic_ack(last.tag, multiple=True)

    async def waiting(self) -> Mapping[str, int]:
        with bus_errors("measuring"):
            if self._measuring is None or self._measuring.is_closed:
                self._measuring = await open_channel(self._connection)
            return {queue: (await topology.census(self._measuring, [queue])).waiting for queue in self._queues}

    async def close(self) -> None:
        if self._redeclaring is not None:
            self._redeclaring.cancel()
        await close(self._connection)


@dataclass
class _RabbitGauge:
    _connection: RabbitConnection
    _channel: Channel
    _queues: Sequence[str]

    async def waiting(self) -> int:
        return (await topology.census(self._channel, self._queues)).waiting

    async def close(self) -> None:
        await close(self._connection)


@asynccontextmanager
async def _another_channel(connection: RabbitConnection) -> AsyncIterator[Channel]:
    """A channel for the block."""
    channel = await open_channel(connection)
    try:
        yield channel
    finally:
        await channel.close()


def _delivery(message: DeliveredMessage) -> Delivery:
    earlier = (message.header.properties.headers or {}).get("x-delivery-count", 0)
    return Delivery(
        tag=message.delivery_tag or 0,
        routing_key=message.routing_key or "",
        body=message.body,
        earlier=max(int(bool(message.redelivered)), earlier if isinstance(earlier, int) else 0),
    )
