"""A foreign AMQP client: it consumes all events, publishes hostile messages, and changes queues and bindings."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from contracts import EVENTS
from lab.faults.lab import Lab
from runtime.messaging.envelope import EXCHANGE


def keys_of(consumer: str) -> list[str]:
    """The routing keys that a service consumes."""
    return sorted(key for event in EVENTS if consumer in event.consumed_by for key in event.routing_keys(consumer))


class ForeignClient:
    """One channel; the user `admin` has all permissions at the broker."""

    def __init__(self, lab: Lab, channel: AbstractChannel) -> None:
        self.lab, self.channel = lab, channel

    async def publish(self, body: bytes, key: str, *, exchange: str = EXCHANGE, bad: bool = False) -> None:
        """Publishes. A bad message may only be parked."""
        if bad:
            self.lab.injected.add(hashlib.sha256(body).digest())
        target = await self.channel.get_exchange(exchange, ensure=False)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await target.publish(message, key, mandatory=False)

    async def bind(self, *queues: str, exchange: str = EXCHANGE, undo: bool = False) -> None:
        """Binds the queues of services to the keys that they consume, or removes the bindings."""
        for name in queues:
            queue = await self.channel.get_queue(name, ensure=False)
            for key in keys_of(name):
                await (queue.unbind(exchange, key) if undo else queue.bind(exchange, key))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["asyncio.Queue[AbstractIncomingMessage]"]:
        """A queue of all events that are published inside the block."""
        received: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        own = await self.channel.declare_queue("foreign", durable=True, arguments={"x-queue-type": "quorum"})
        await own.bind(EXCHANGE, "#")
        tag = await own.consume(received.put, no_ack=True)
        try:
            yield received
        finally:
            await own.cancel(tag)
            await own.unbind(EXCHANGE, "#")
            await own.delete(if_unused=False, if_empty=False)


@asynccontextmanager
async def open_foreign_client(lab: Lab, name: str = "admin", **options: Any) -> AsyncIterator[ForeignClient]:
    """A connection as this broker user."""
    async with await aio_pika.connect(lab.system.running.servers.rabbitmq.url(name)) as connection:
        yield ForeignClient(lab, await connection.channel(**options))
