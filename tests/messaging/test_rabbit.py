"""RabbitMQ only: permissions, limits, broken connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from batalkan.servers import LocalServers
from runtime.messaging.bus import BusError, Delivery, Message, Publisher, Subscription, rabbitmq
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.messaging.envelope import CONTENT_TYPE, EXCHANGE
from tests.conftest import BusOf
from tests.harness.proxy import proxied
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.toys import Toys, message, running

pytestmark = pytest.mark.servers
KEY = "orders.Counted"
C = TypeVar("C", Publisher, Subscription)


@asynccontextmanager
async def channel_of(url: str) -> AsyncIterator[AbstractChannel]:
    """A plain AMQP channel, for looking behind the bus."""
    async with await aio_pika.connect(url) as connection, connection.channel(on_return_raises=True) as channel:
        yield channel


@pytest.fixture
async def queue(rabbit_bus: BusOf) -> None:
    """The queue of `refunds` is there."""
    await (await rabbit_bus("refunds").subscribe("refunds", [KEY])).close()


async def get(servers: LocalServers, how_many: int) -> list[AbstractIncomingMessage]:
    """The next messages in the queue of `refunds`, as a stranger sees them."""
    async with channel_of(servers.rabbitmq.admin_url) as channel:
        found: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        queue = await channel.declare_queue("refunds", passive=True)
        await queue.consume(found.put, no_ack=True)
        async with asyncio.timeout(10):
            return [await found.get() for _ in range(how_many)]


@pytest.mark.usefixtures("queue")
async def test_events_are_persistent_messages_each_with_an_id_of_its_own(
    servers: LocalServers, toys_on_rabbit: Toys
) -> None:
    """The same event, published again, is another AMQP message; which event it is stands in its body alone."""
    orders = await toys_on_rabbit.orders()
    orders.relay._bus = Unreliable(orders.bus, lose_confirms=1)
    await orders.say(1, 2)
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
async def test_a_service_can_neither_speak_for_another_nor_read_its_queue(servers: LocalServers) -> None:
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
    publisher = await rabbit_bus("orders").publisher([])
    with pytest.raises(BusError):
        await publisher.publish([Message(KEY, b" " * 1_100_000)])
    await publisher.close()
    async with channel_of(servers.rabbitmq.url("orders")) as channel:
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        with pytest.raises(ChannelPreconditionFailed):
            await exchange.publish(aio_pika.Message(b" " * 1_100_000), KEY)


async def test_a_deleted_queue_ends_the_subscription_and_is_made_anew(
    servers: LocalServers, toys_on_rabbit: Toys
) -> None:
    """A consumer whose queue is deleted declares it again and continues to consume."""
    refunds = await toys_on_rabbit.refunds()
    subscription = await refunds.bus.subscribe("refunds", [KEY])
    taking = asyncio.create_task(subscription.take(1))
    async with channel_of(servers.rabbitmq.admin_url) as channel:
        await channel.queue_delete("refunds")
        with pytest.raises(BusError):
            await asyncio.wait_for(taking, 5)
        await subscription.close()
        async with running(refunds.consumer.run()):
            await becomes(refunds.is_consuming, True)
            await channel.queue_delete("refunds")
            await becomes(refunds.is_consuming, False)
            await becomes(refunds.is_consuming, True)
            await toys_on_rabbit.send(message(1))
            await becomes(refunds.effects, [1])


@pytest.mark.usefixtures("queue")
async def test_a_connection_that_breaks_is_a_bus_error_for_all_who_use_it(servers: LocalServers) -> None:
    """Cut while publishing, taking and acknowledging: each of them fails with a BusError, and nothing hangs."""
    async with proxied(servers.rabbitmq.port) as line, proxied(servers.rabbitmq.port) as other:
        publisher = await RabbitBus(line.through(servers.rabbitmq.url("orders")), "orders").publisher([])
        subscription = await RabbitBus(other.through(servers.rabbitmq.url("refunds")), "refunds").subscribe(
            "refunds", [KEY]
        )
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


async def test_a_connection_that_breaks_again_and_again_loses_nothing(
    servers: LocalServers, toys_on_rabbit: Toys
) -> None:
    """While both sides' connections are cut every few messages, every event has its effect once, in order."""
    orders, refunds = await toys_on_rabbit.orders(), await toys_on_rabbit.refunds()
    async with proxied(servers.rabbitmq.port) as line, proxied(servers.rabbitmq.port) as other:
        orders.relay._bus = RabbitBus(line.through(servers.rabbitmq.url("orders")), "orders")
        refunds.consumer._bus = RabbitBus(other.through(servers.rabbitmq.url("refunds")), "refunds")
        async with running(orders.relay.run(), refunds.consumer.run()):
            await becomes(refunds.is_consuming, True)
            for number in range(0, 200, 10):
                await orders.say(*range(number, number + 10))
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
    monkeypatch.setattr(rabbitmq, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(rabbitmq, "HEARTBEAT", 1)
    orders, refunds = await toys_on_rabbit.orders(), await toys_on_rabbit.refunds()
    async with running(orders.relay.run(), refunds.consumer.run()):
        await orders.say(1)
        await becomes(refunds.effects, [1])
        servers.rabbitmq.pause()
        try:
            await orders.say(2, 3)
            await becomes(refunds.is_consuming, False)
            await becomes(orders.leads, False)
            assert await orders.outbox() == 2
        finally:
            servers.rabbitmq.resume()
        await becomes(refunds.effects, [1, 2, 3])
        await becomes(orders.outbox, 0)


async def test_what_was_delivered_too_often_is_kept(rabbit_bus: BusOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the delivery limit a message is not dropped: it lies among the dead letters of its service."""
    monkeypatch.setattr(rabbitmq, "DELIVERY_LIMIT", 1)
    await (await rabbit_bus("refunds").subscribe("refunds", [KEY])).close()
    publisher = await rabbit_bus("orders").publisher(["refunds"])
    await publisher.publish([Message(KEY, b"")])
    await publisher.close()
    for _ in range(2):
        subscription = await rabbit_bus("refunds").subscribe("refunds", [KEY])
        await subscription.take(1)
        await subscription.close()
    dead = await rabbit_bus("refunds").gauge("refunds.dead")
    await becomes(dead.waiting, 1)
    await dead.close()


@pytest.mark.usefixtures("queue")
async def test_publishing_does_not_wait_for_a_heartbeat(
    servers: LocalServers, rabbit_bus: BusOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publish that is not confirmed in time fails; the message may have arrived."""
    monkeypatch.setattr(rabbitmq, "PUBLISH_TIMEOUT", 0.5)
    publisher = await rabbit_bus("orders").publisher(["refunds"])
    servers.rabbitmq.pause()
    try:
        async with asyncio.timeout(rabbitmq.HEARTBEAT / 2):
            with pytest.raises(BusError, match="TimeoutError"):
                await publisher.publish([Message(KEY, b"")])
    finally:
        servers.rabbitmq.resume()
    await publisher.close()


async def test_publishing_and_consuming_go_over_connections_of_their_own(
    servers: LocalServers, toys_on_rabbit: Toys
) -> None:
    """A broker that blocks publishers because it is short of memory does not block consumers."""
    async with proxied(servers.rabbitmq.port) as line:
        bus = RabbitBus(line.through(servers.rabbitmq.url("refunds")), "refunds")
        refunds = await toys_on_rabbit.refunds()
        refunds.relay._bus = refunds.consumer._bus = bus
        async with running(refunds.relay.run(), refunds.consumer.run()):
            await becomes(refunds.leads, True)
            await becomes(refunds.is_consuming, True)
            assert line.connections == 2


@pytest.mark.usefixtures("queue")
async def test_no_more_is_fetched_than_can_be_in_hand(rabbit_bus: BusOf) -> None:
    """Of a long queue, a service holds a bounded part; the rest stays at the broker until that is done with."""
    publisher = await rabbit_bus("orders").publisher(["refunds"])
    await publisher.publish([Message(KEY, b"")] * (rabbitmq.PREFETCH + 10))
    await publisher.close()
    subscription = await rabbit_bus("refunds").subscribe("refunds", [KEY])
    taken: list[Delivery] = []
    while len(taken) < rabbitmq.PREFETCH:
        taken += await subscription.take(1000)
    assert len(taken) == rabbitmq.PREFETCH
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await subscription.take(1)
    await subscription.acknowledge(taken[-1])
    assert await subscription.take(1)
    await subscription.close()


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("lost", ["binding", "exchange", "queue"])
async def test_what_was_deleted_is_declared_again(
    servers: LocalServers, rabbit_bus: BusOf, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """A service whose binding, queue or exchange is deleted consumes again soon, without a restart."""
    monkeypatch.setattr(rabbitmq, "REDECLARE", 0.2)
    bus, consumed = rabbit_bus("refunds"), asyncio.Event()

    async def consume() -> None:
        while True:
            with suppress(BusError):
                async with closed_at_last(await bus.subscribe("refunds", [KEY])) as subscription:
                    await subscription.take(1)
                    consumed.set()
                    return

    listening = asyncio.create_task(consume())
    async with channel_of(servers.rabbitmq.admin_url) as channel:
        await becomes(lambda: _consumers(channel), 1)
        if lost == "binding":
            await (await channel.get_queue("refunds", ensure=False)).unbind(EXCHANGE, KEY)
        elif lost == "exchange":
            await channel.exchange_delete(EXCHANGE)
        else:
            await channel.queue_delete("refunds")
    while not consumed.is_set():
        with suppress(BusError):
            async with closed_at_last(await rabbit_bus("orders").publisher(["refunds"])) as publisher:
                await publisher.publish([Message(KEY, b"{}")])
        await asyncio.sleep(0.05)
    await listening


@asynccontextmanager
async def closed_at_last(one: C) -> AsyncIterator[C]:
    """A publisher or a subscription, which is closed in every case."""
    try:
        yield one
    finally:
        await one.close()


async def _consumers(channel: AbstractChannel) -> int:
    queue = await channel.declare_queue("refunds", passive=True)
    return int(queue.declaration_result.consumer_count or 0)
