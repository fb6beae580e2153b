"""RabbitMQ only: permissions, limits, broken connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from batalkan.servers import LocalServers
from runtime.messaging.bus import BusError, Message, connection, rabbitmq, topology
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.messaging.envelope import CONTENT_TYPE, EXCHANGE
from tests.conftest import BusOf
from tests.harness.proxy import Proxy, proxied
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.test_bus import KEY, messages, published, publishing, subscribed, take
from tests.messaging.toys import Toys, message, running

pytestmark = pytest.mark.servers


@asynccontextmanager
async def channel_of(url: str) -> AsyncIterator[AbstractChannel]:
    """A plain AMQP channel, for looking behind the bus."""
    async with await aio_pika.connect(url) as connection, connection.channel(on_return_raises=True) as channel:
        yield channel


@pytest.fixture
async def queue(rabbit_bus: BusOf) -> None:
    """The queue of `refunds` is there."""
    async with subscribed(rabbit_bus):
        pass


@asynccontextmanager
async def through_proxy(servers: LocalServers, service: str) -> AsyncIterator[tuple[Proxy, RabbitBus]]:
    """A service's bus with a proxy in front of the broker."""
    async with proxied(servers.rabbitmq.port) as proxy:
        yield proxy, RabbitBus(proxy.through(servers.rabbitmq.url(service)), service)


async def get(servers: LocalServers, how_many: int) -> list[AbstractIncomingMessage]:
    """The next messages in the queue of `refunds`, as another client receives them."""
    async with channel_of(servers.rabbitmq.admin_url) as channel:
        found: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        queue = await channel.declare_queue("refunds", passive=True)
        await queue.consume(found.put, no_ack=True)
        async with asyncio.timeout(10):
            return [await found.get() for _ in range(how_many)]


@pytest.mark.usefixtures("queue")
async def test_each_copy_is_a_persistent_message_of_its_own(servers: LocalServers, toys_on_rabbit: Toys) -> None:
    """The same event, published again, is another AMQP message; only the body names the event."""
    orders = await toys_on_rabbit.orders()
    orders.relay._bus = Unreliable(orders.bus, lose_confirms=1)
    await orders.publish(1, 2)
    async with running(orders.relay.run()):
        await becomes(orders.outbox, 0)
    found = await get(servers, 4)
    assert found[0].body == found[2].body != found[1].body == found[3].body
    assert len({one.message_id for one in found}) == 4
    assert {one.delivery_mode for one in found} == {aio_pika.DeliveryMode.PERSISTENT}
    assert {one.content_type for one in found} == {CONTENT_TYPE}


async def _ignore(_: object) -> None:
    return None


def _message() -> aio_pika.Message:
    return aio_pika.Message(b"{}")


REFUSED: dict[str, Callable[[AbstractChannel, AbstractExchange, AbstractQueue], Awaitable[object]]] = {
    "publish": lambda channel, exchange, queue: exchange.publish(_message(), "refunds.RefundIssued"),
    "publish to the queue": lambda channel, exchange, queue: channel.default_exchange.publish(_message(), "refunds"),
    "consume": lambda channel, exchange, queue: queue.consume(_ignore),
    "get": lambda channel, exchange, queue: queue.get(),
    "purge": lambda channel, exchange, queue: queue.purge(),
    "delete": lambda channel, exchange, queue: queue.delete(),
    "bind": lambda channel, exchange, queue: queue.bind(EXCHANGE, "orders.#"),
    "unbind": lambda channel, exchange, queue: queue.unbind(EXCHANGE, KEY),
    "declare": lambda channel, exchange, queue: channel.declare_queue("spy", durable=True),
}
"""Operations on `refunds` and on the broker that `orders` has no permission for."""


@pytest.mark.usefixtures("queue")
async def test_a_service_has_no_access_to_the_queue_of_another(servers: LocalServers) -> None:
    """The broker refuses `orders` the resources of `refunds`, and permits its own."""
    url = servers.rabbitmq.url("orders")
    for attempt in REFUSED.values():
        async with channel_of(url) as channel:
            exchange = await channel.get_exchange(EXCHANGE, ensure=False)
            with pytest.raises(ChannelAccessRefused):
                await attempt(channel, exchange, await channel.get_queue("refunds", ensure=False))
    async with channel_of(url) as channel:
        await (await channel.get_exchange(EXCHANGE, ensure=False)).publish(_message(), KEY)


@pytest.mark.usefixtures("queue")
async def test_a_message_beyond_the_brokers_limit_is_refused(servers: LocalServers, rabbit_bus: BusOf) -> None:
    """RabbitMQ accepts no message of a megabyte from any publisher."""
    async with publishing(rabbit_bus) as publisher:
        with pytest.raises(BusError):
            await publisher.publish([Message(KEY, b" " * 1_100_000)])
    async with channel_of(servers.rabbitmq.url("orders")) as channel:
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        with pytest.raises(ChannelPreconditionFailed):
            await exchange.publish(aio_pika.Message(b" " * 1_100_000), KEY)


@pytest.mark.usefixtures("queue")
async def test_a_broken_connection_is_a_bus_error_for_all_users(servers: LocalServers) -> None:
    """Cut while publishing, taking and acknowledging: each of them fails with a BusError, and nothing hangs."""
    async with (
        through_proxy(servers, "orders") as (line, orders),
        through_proxy(servers, "refunds") as (other, refunds),
    ):
        publisher, subscription = await orders.publisher([]), await refunds.subscribe("refunds", [KEY])
        await publisher.publish([Message(KEY, b"1")])
        (delivery,) = await subscription.take(1)
        line.swallow()
        other.swallow()
        publishing = asyncio.create_task(publisher.publish([Message(KEY, b"2")] * 300))
        taking = asyncio.create_task(subscription.take(1))
        await asyncio.sleep(0.05)
        line.cut()
        other.cut()
        async with asyncio.timeout(5):
            for use in (publishing, publisher.publish([]), taking, subscription.acknowledge(delivery)):
                with pytest.raises(BusError):
                    await use
            await publisher.close()
            await subscription.close()


async def test_repeated_disconnections_lose_nothing(servers: LocalServers, toys_on_rabbit: Toys) -> None:
    """While both sides' connections are cut every few messages, every event has its effect once, in order."""
    orders, refunds = await toys_on_rabbit.orders(), await toys_on_rabbit.refunds()
    async with through_proxy(servers, "orders") as (line, bus), through_proxy(servers, "refunds") as (other, other_bus):
        orders.relay._bus, refunds.consumer._bus = bus, other_bus
        async with refunds.consuming(), running(orders.relay.run()):
            for number in range(0, 200, 10):
                await orders.publish(*range(number, number + 10))
                if number % 40 == 30:
                    await becomes(refunds.count("effects"), number + 10)
                (line if number % 20 else other).cut()
            await becomes(refunds.effects, list(range(200)))
            await becomes(orders.outbox, 0)


async def test_a_broker_that_falls_silent_is_noticed(
    servers: LocalServers, toys_on_rabbit: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the broker is frozen, publishing times out; afterwards everything works again."""
    monkeypatch.setattr(rabbitmq, "PUBLISH_TIMEOUT", 0.5)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(connection, "HEARTBEAT", 1)
    orders, refunds = await toys_on_rabbit.orders(), await toys_on_rabbit.refunds()
    async with running(orders.relay.run(), refunds.consumer.run()):
        await orders.publish(1)
        await becomes(refunds.effects, [1])
        servers.rabbitmq.pause()
        try:
            await orders.publish(2, 3)
            async with asyncio.timeout(15):
                await becomes(refunds.is_consuming, False)
                await becomes(orders.leads, False)
            assert await orders.outbox() == 2
        finally:
            servers.rabbitmq.resume()
        await becomes(refunds.effects, [1, 2, 3])
        await becomes(orders.outbox, 0)


async def test_a_message_beyond_the_delivery_limit_is_kept(rabbit_bus: BusOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message beyond the delivery limit is not dropped: it is a dead letter of its service."""
    monkeypatch.setattr(topology, "DELIVERY_LIMIT", 1)
    async with published(rabbit_bus, 1):
        for _ in range(2):
            async with subscribed(rabbit_bus) as subscription:
                await subscription.take(1)
    dead = await rabbit_bus("refunds").gauge("refunds.dead")
    await becomes(dead.waiting, 1)
    await dead.close()


@pytest.mark.usefixtures("queue")
async def test_publishing_does_not_wait_for_a_heartbeat(
    servers: LocalServers, rabbit_bus: BusOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publish that is not confirmed in time fails; the message may have arrived."""
    monkeypatch.setattr(rabbitmq, "PUBLISH_TIMEOUT", 0.5)
    async with publishing(rabbit_bus) as publisher:
        servers.rabbitmq.pause()
        try:
            async with asyncio.timeout(connection.HEARTBEAT / 2):
                with pytest.raises(BusError, match="TimeoutError"):
                    await publisher.publish([Message(KEY, b"")])
        finally:
            servers.rabbitmq.resume()


async def test_publishing_and_consuming_have_own_connections(servers: LocalServers, toys_on_rabbit: Toys) -> None:
    """A broker that blocks publishers because it is short of memory does not block consumers."""
    async with through_proxy(servers, "refunds") as (line, bus):
        refunds = await toys_on_rabbit.refunds()
        refunds.relay._bus = refunds.consumer._bus = bus
        async with refunds.consuming(), running(refunds.relay.run()):
            await becomes(refunds.leads, True)
            assert line.connections == 2


@pytest.mark.usefixtures("queue")
async def test_a_subscription_holds_a_bounded_number_of_messages(rabbit_bus: BusOf) -> None:
    """Of a long queue a service holds a bounded part; the rest stays at the broker until the part is acknowledged."""
    async with published(rabbit_bus, *range(rabbitmq.PREFETCH + 10)), subscribed(rabbit_bus) as subscription:
        taken = await take(subscription, rabbitmq.PREFETCH)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await subscription.take(1)
        await subscription.acknowledge(taken[-1])
        assert await subscription.take(1)


async def test_a_consumer_notices_that_its_queue_is_gone(servers: LocalServers, toys_on_rabbit: Toys) -> None:
    """A consumer whose queue is deleted is not ready until the queue is declared again; then it consumes."""
    refunds = await toys_on_rabbit.refunds()
    lost = asyncio.Event()
    async with refunds.consuming(), channel_of(servers.rabbitmq.admin_url) as channel:

        async def watch() -> None:
            while refunds.consumer.connected:
                await asyncio.sleep(0)
            lost.set()

        watching = asyncio.create_task(watch())
        await channel.queue_delete("refunds")
        async with asyncio.timeout(5):
            await lost.wait()
        await watching
        await becomes(refunds.is_consuming, True)
        await toys_on_rabbit.send(message(1))
        await becomes(refunds.effects, [1])


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("lost", ["binding", "exchange", "queue"])
async def test_a_deleted_part_is_declared_again(
    servers: LocalServers, rabbit_bus: BusOf, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """A service whose binding or exchange is deleted consumes again soon, and at once if its queue is deleted."""
    if lost != "queue":
        monkeypatch.setattr(rabbitmq, "REDECLARE", 0.2)

    async def consume() -> None:
        while True:
            with suppress(BusError):
                async with subscribed(rabbit_bus) as subscription:
                    await subscription.take(1)
                    return

    consuming = asyncio.create_task(consume())
    async with channel_of(servers.rabbitmq.admin_url) as channel:
        await becomes(lambda: _consumers(channel), 1)
        if lost == "binding":
            await (await channel.get_queue("refunds", ensure=False)).unbind(EXCHANGE, KEY)
        elif lost == "exchange":
            await channel.exchange_delete(EXCHANGE)
        else:
            await channel.queue_delete("refunds")
    async with asyncio.timeout(connection.HEARTBEAT / 2):
        while not consuming.done():
            with suppress(BusError):
                async with publishing(rabbit_bus, "refunds") as publisher:
                    await publisher.publish(messages(1))
            await asyncio.sleep(0.05)
    await consuming


async def _consumers(channel: AbstractChannel) -> int:
    queue = await channel.declare_queue("refunds", passive=True)
    return int(queue.declaration_result.consumer_count or 0)
