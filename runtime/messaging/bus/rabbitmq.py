"""The bus over RabbitMQ: quorum queues, persistent messages, publisher confirms.

Connections do not recover by themselves: after a failure the owner (relay, consumer) opens a new one, because only the
owner knows what was in flight.

The broker may be a cluster: a connection tries its nodes in random order until one accepts it.
This uses aiormq, the layer below aio-pika, which needs less time for each message.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Self, cast
from urllib.parse import urlsplit

import aiormq
from aiormq import Channel
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.common import FieldTable
from yarl import URL

from runtime.messaging.bus import BusError, Delivery, Gauge, Message, Publisher, Subscription, Unroutable
from runtime.messaging.envelope import CONTENT_TYPE, EXCHANGE
from runtime.observability.trace_context import new_id

HEARTBEAT = 10
CONNECT_TIMEOUT = 10.0
"""Seconds for all nodes together: a frozen node accepts a connection and does not answer."""
CLOSE_TIMEOUT = 2.0
PUBLISH_TIMEOUT = 15.0
"""Seconds. A publish that timed out may have arrived."""
PREFETCH = 256
FRAMES = 1024
PERSISTENT = 2
REDECLARE = 10.0
"""Seconds between two declarations of a queue and its bindings. If they are deleted, the service is cut off for this
time, and not until its restart."""
DELIVERY_LIMIT = 1000
"""High, because a crash counts for all prefetched messages, and the message that causes crashes is parked long before
(see `runtime.messaging.consumer`). A service that crashes on every message crashes `PREFETCH` times before the last
one's turn."""


@contextmanager
def _bus_errors(doing: str) -> Iterator[None]:
    """Turns every exception of the client library into a `BusError`; then the connection is closed.

    When a connection breaks, the library raises many types of exceptions in those that wait on it, `CancelledError`
    among them. A cancellation is real only if the current task is being cancelled.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BusError(f"{doing}: the connection to RabbitMQ was lost") from None
    except BusError:
        raise
    except Exception as error:
        raise BusError(f"{doing}: {error!r}") from error


class _RabbitConnection(aiormq.Connection):
    # With the library's ten, each ten messages wait for a turn of the event loop: two seconds for a batch of the relay
    # under many requests.
    FRAME_BUFFER_SIZE = FRAMES
    # Two missed heartbeats, as in AMQP and the broker. With the library's three, a client of a node that was cut off
    # would wait for 33 s.
    HEARTBEAT_GRACE_MULTIPLIER = 2


async def _open(connection: _RabbitConnection, **options: bool) -> Channel:
    return cast(Channel, await connection.channel(frame_buffer_size=FRAMES, **options))


async def _close(connection: _RabbitConnection) -> None:
    """Closes the connection; never raises, and waits at most `CLOSE_TIMEOUT` for the broker."""
    with suppress(BusError), _bus_errors("closing"):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await connection.close()


def nodes(url: str) -> list[URL]:
    """A URL for each node of a cluster, from one that names all: `amqp://user:password@one:5672,two:5672/vhost`.

    PostgreSQL has this syntax; the AMQP URI specification allows one host only.
    """
    whole = urlsplit(url)
    who, at, hosts = whole.netloc.rpartition("@")
    return [URL(whole._replace(netloc=f"{who}{at}{host}").geturl()) for host in hosts.split(",")]


class RabbitBus:
    """Publishers and subscriptions at the broker of `url` (`amqp://user:password@host:port,…/vhost`)."""

    def __init__(self, url: str, client: str) -> None:
        self._nodes = nodes(url)
        self._client = client

    async def publisher(self, queues: Sequence[str]) -> Publisher:
        async with self._connection("publishes") as connection:
            # A subscriber declares the dead-letter queue last: if it exists, the bindings exist too.
            for name in queues:
                channel = await _open(connection)
                await channel.queue_declare(f"{name}.dead", passive=True)
                await channel.close()
            return await _RabbitPublisher.open(connection)

    async def subscribe(self, queue: str, routing_keys: Sequence[str]) -> Subscription:
        async with self._connection("consumes") as connection:
            return await _RabbitSubscription.open(connection, queue, routing_keys)

    async def gauge(self, queue: str) -> Gauge:
        async with self._connection("measures") as connection:
            return _RabbitGauge(connection, await _open(connection), queue)

    @asynccontextmanager
    async def _connection(self, does: str) -> AsyncIterator[_RabbitConnection]:
        """A new connection, which stays open unless the block fails."""
        connection = await self._connect(does)
        try:
            with _bus_errors("RabbitMQ is not ready"):
                yield connection
        except BaseException:
            await _close(connection)
            raise

    async def _connect(self, does: str) -> _RabbitConnection:
        faults: list[str] = []
        for node in random.sample(self._nodes, len(self._nodes)):
            try:
                return await self._connect_to(node, does)
            except BusError as error:
                faults.append(str(error))
        raise BusError("; ".join(faults))

    async def _connect_to(self, node: URL, does: str) -> _RabbitConnection:
        name: FieldTable = {"connection_name": f"{self._client} {does}"}
        connection = _RabbitConnection(node.update_query(heartbeat=HEARTBEAT))  # the library reads it from here only
        try:
            with _bus_errors(f"no connection to RabbitMQ at {node.host}"):
                async with asyncio.timeout(CONNECT_TIMEOUT / len(self._nodes)):
                    await connection.connect(name)
                    await connection.ready()
        except BaseException:
            await _close(connection)
            raise
        return connection


@dataclass
class _RabbitPublisher:
    _connection: _RabbitConnection
    _channel: Channel

    @classmethod
    async def open(cls, connection: _RabbitConnection) -> Self:
        channel = await _open(connection, publisher_confirms=True, on_return_raises=True)
        await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
        return cls(connection, channel)

    async def publish(self, messages: Sequence[Message]) -> None:
        if self._channel.is_closed:
            raise BusError("the connection to RabbitMQ was lost")
        with _bus_errors("publishing"):
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
            ),
            wait=False,  # for the socket; the confirm comes later anyway
        )
        message.confirmed()

    async def close(self) -> None:
        await _close(self._connection)


def queue_arguments(service: str) -> FieldTable:
    """The arguments of a service's queue; RabbitMQ refuses a declaration with others."""
    return {
        "x-queue-type": "quorum",
        # One replica at a time: else two events of one subject could be handled concurrently.
        "x-single-active-consumer": True,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": f"{service}.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def _declare(channel: Channel, service: str, routing_keys: Sequence[str]) -> None:
    """Declares the queue of a service with its bindings, and its dead-letter queue."""
    dead = f"{service}.dead"
    await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    await channel.exchange_declare(dead, exchange_type="fanout", durable=True)
    await channel.queue_declare(service, durable=True, arguments=queue_arguments(service))
    for routing_key in routing_keys:
        await channel.queue_bind(service, EXCHANGE, routing_key)
    await channel.queue_declare(dead, durable=True, arguments={"x-queue-type": "quorum"})
    await channel.queue_bind(dead, dead)


class _RabbitSubscription:
    def __init__(self, connection: _RabbitConnection, channel: Channel) -> None:
        self._connection = connection
        self._channel = channel
        self._arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
        self._redeclaring: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, connection: _RabbitConnection, service: str, routing_keys: Sequence[str]) -> Self:
        channel = await _open(connection)
        subscription = cls(connection, channel)
        # All that a subscription may hold: with less, messages returned to the queue would change their order.
        await channel.basic_qos(prefetch_count=PREFETCH)
        await _declare(channel, service, routing_keys)
        connection.closing.add_done_callback(subscription._wake)
        channel.closing.add_done_callback(subscription._wake)
        # The broker cancels a consumer whose queue was deleted: the subscription ends, and the next one declares it.
        channel.on_consumer_cancel_callbacks.add(subscription._wake)
        await channel.basic_consume(service, subscription._arrived.put)
        subscription._redeclaring = asyncio.create_task(subscription._redeclare(service, routing_keys))
        return subscription

    async def _redeclare(self, service: str, routing_keys: Sequence[str]) -> None:
        with suppress(BusError), _bus_errors("declaring again"):
            while True:
                await asyncio.sleep(REDECLARE)
                await _declare(self._channel, service, routing_keys)
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
        with _bus_errors("not acknowledged"):
            await self._channel.basic_ack(last.tag, multiple=True)

    async def close(self) -> None:
        if self._redeclaring is not None:
            self._redeclaring.cancel()
        await _close(self._connection)


@dataclass
class _RabbitGauge:
    _connection: _RabbitConnection
    _channel: Channel
    _queue: str

    async def waiting(self) -> int:
        with _bus_errors("measuring"):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                return (await self._channel.queue_declare(self._queue, passive=True)).message_count or 0

    async def close(self) -> None:
        await _close(self._connection)


def _delivery(message: DeliveredMessage) -> Delivery:
    earlier = (message.header.properties.headers or {}).get("x-delivery-count", 0)
    return Delivery(
        tag=message.delivery_tag or 0,
        routing_key=message.routing_key or "",
        body=message.body,
        earlier=max(int(bool(message.redelivered)), earlier if isinstance(earlier, int) else 0),
    )
