"""The bus over RabbitMQ: quorum queues, persistent messages, publisher confirms.

Connections are plain ones, not self-healing: when one breaks, everything on it is given up and its owner (the relay,
the consumer) opens a new one, because only they know what was in flight.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
    ExchangeType,
)
from pamqp.common import FieldTable
from yarl import URL

from runtime.bus import BusError, Delivery, Message, Publisher, Subscription, Unroutable
from runtime.events import CONTENT_TYPE, EXCHANGE
from runtime.story import new_id

HEARTBEAT = 10
CONNECT_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
PUBLISH_TIMEOUT = 15.0
"""Seconds. A publish that timed out may have arrived."""
PREFETCH = 256
DELIVERY_LIMIT = 100
"""High, because the broker counts for all that a service holds when it goes down, and the guilty one is parked long
before (see `runtime.inbox`)."""


@contextmanager
def _bus_errors(doing: str) -> Iterator[None]:
    """Makes a `BusError` of whatever the client library raises: the connection is then given up, whatever it was.

    To those who wait on a connection that breaks the library hands many kinds of exceptions, `CancelledError` among
    them; a cancellation is meant for us only when our own task is being cancelled.
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


async def _close(connection: AbstractConnection) -> None:
    """Never raises, and never waits long for a broker that does not answer."""
    with suppress(BusError), _bus_errors("closing"):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await connection.close()


class RabbitBus:
    """Publishers and subscriptions at the broker of `url` (`amqp://user:password@host:port/vhost`)."""

    def __init__(self, url: str, client: str) -> None:
        self._url = url
        self._client = client

    async def publisher(self, queues: Sequence[str]) -> Publisher:
        connection = await self._connect("publishes")
        try:
            with _bus_errors("cannot publish yet"):
                # The dead-letter queue is what a subscriber declares last: if it is there, the bindings are there too.
                for name in queues:
                    async with connection.channel() as channel:
                        await channel.declare_queue(f"{name}.dead", passive=True)
                return await _RabbitPublisher.open(connection)
        except BaseException:
            await _close(connection)
            raise

    async def subscribe(self, queue: str, routing_keys: Sequence[str]) -> Subscription:
        connection = await self._connect("consumes")
        try:
            with _bus_errors("cannot consume yet"):
                return await _RabbitSubscription.open(connection, queue, routing_keys)
        except BaseException:
            await _close(connection)
            raise

    async def _connect(self, does: str) -> AbstractConnection:
        name: FieldTable = {"connection_name": f"{self._client} {does}"}
        with _bus_errors("no connection to RabbitMQ"):
            url = URL(self._url).update_query(heartbeat=HEARTBEAT)  # the one place where it is taken from
            return await aio_pika.connect(url, client_properties=name, timeout=CONNECT_TIMEOUT)


class _RabbitPublisher:
    def __init__(self, connection: AbstractConnection, channel: AbstractChannel, exchange: AbstractExchange) -> None:
        self._connection = connection
        self._channel = channel
        self._exchange = exchange

    @classmethod
    async def open(cls, connection: AbstractConnection) -> "_RabbitPublisher":
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        return cls(connection, channel, await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True))

    async def publish(self, messages: Sequence[Message]) -> None:
        if self._channel.is_closed:
            raise BusError("the connection to RabbitMQ was lost")
        with _bus_errors("publishing"):
            results = await asyncio.gather(*map(self._publish, messages), return_exceptions=True)
        faults = [result for result in results if isinstance(result, BaseException)]
        for fault in faults:
            if isinstance(fault, aio_pika.exceptions.PublishError):
                raise Unroutable(str(fault)) from fault
        if faults:
            raise BusError(f"{len(faults)} of {len(messages)} messages were not confirmed: {faults[0]!r}")

    async def _publish(self, message: Message) -> None:
        await self._exchange.publish(
            aio_pika.Message(
                message.body,
                content_type=CONTENT_TYPE,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                # Fresh for each attempt: the client matches returned messages by it. The event's id is in the body.
                message_id=new_id().hex,
            ),
            message.routing_key,
            mandatory=message.mandatory,
            timeout=PUBLISH_TIMEOUT,
        )

    async def close(self) -> None:
        await _close(self._connection)


def queue_arguments(service: str) -> FieldTable:
    """With what the queue of a service is declared; RabbitMQ refuses whoever declares it otherwise."""
    return {
        "x-queue-type": "quorum",
        # One replica at a time, or else two events of one subject could be handled side by side.
        "x-single-active-consumer": True,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": f"{service}.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def _declare(channel: AbstractChannel, service: str, routing_keys: Sequence[str]) -> AbstractQueue:
    """The queue of a service, bound to what it hears, and where its dead letters go."""
    await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
    dead = await channel.declare_exchange(f"{service}.dead", ExchangeType.FANOUT, durable=True)
    queue = await channel.declare_queue(service, durable=True, arguments=queue_arguments(service))
    for routing_key in routing_keys:
        await queue.bind(EXCHANGE, routing_key)
    graveyard = await channel.declare_queue(f"{service}.dead", durable=True, arguments={"x-queue-type": "quorum"})
    await graveyard.bind(dead)
    return queue


class _RabbitSubscription:
    def __init__(self, connection: AbstractConnection, channel: AbstractChannel) -> None:
        self._connection = connection
        self._channel = channel
        self._arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()

    @classmethod
    async def open(
        cls, connection: AbstractConnection, service: str, routing_keys: Sequence[str]
    ) -> "_RabbitSubscription":
        channel = await connection.channel()
        subscription = cls(connection, channel)
        # As much as one subscription may leave behind: with less, what is returned to the queue would change places.
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await _declare(channel, service, routing_keys)
        connection.close_callbacks.add(subscription._wake)
        channel.close_callbacks.add(subscription._wake)
        # The broker cancels a consumer whose queue was deleted: end the subscription, so that it is declared anew.
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(subscription._wake)
        await queue.consume(subscription._arrived.put)
        return subscription

    def _wake(self, *_: object) -> None:
        self._arrived.put_nowait(None)

    async def take(self, most: int) -> list[Delivery]:
        messages = [await self._arrived.get()]
        while len(messages) < most and not self._arrived.empty():
            messages.append(self._arrived.get_nowait())
        if None in messages:
            raise BusError("the connection to RabbitMQ was lost")
        return [_delivery(message) for message in messages if message is not None]

    async def acknowledge(self, last: Delivery) -> None:
        with _bus_errors("not acknowledged"):
            channel = await self._channel.get_underlay_channel()
            await channel.basic_ack(last.tag, multiple=True)

    async def close(self) -> None:
        await _close(self._connection)


def _delivery(message: AbstractIncomingMessage) -> Delivery:
    earlier = message.headers.get("x-delivery-count", 0)
    return Delivery(
        tag=message.delivery_tag or 0,
        routing_key=message.routing_key or "",
        body=message.body,
        earlier=max(int(bool(message.redelivered)), earlier if isinstance(earlier, int) else 0),
    )
