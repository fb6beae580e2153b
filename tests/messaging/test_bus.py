"""The contract of a bus, on both buses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from runtime.messaging.bus import BusError, Delivery, Message, Publisher, Subscription, Unroutable, memory, topology
from tests.conftest import BusOf

KEY = "orders.Counted"


def messages(*numbers: int) -> list[Message]:
    """Messages that differ in a number."""
    return [Message(KEY, str(number).encode()) for number in numbers]


def numbers(deliveries: list[Delivery]) -> list[int]:
    """The numbers of those messages."""
    return [int(delivery.body) for delivery in deliveries]


async def take(subscription: Subscription, how_many: int) -> list[Delivery]:
    """The next deliveries, not acknowledged."""
    deliveries: list[Delivery] = []
    async with asyncio.timeout(10):
        while len(deliveries) < how_many:
            deliveries += await subscription.take(how_many - len(deliveries))
    return deliveries


async def finish(subscription: Subscription, how_many: int) -> list[int]:
    """The next deliveries, acknowledged one by one."""
    deliveries: list[Delivery] = []
    while len(deliveries) < how_many:
        deliveries += (taken := await take(subscription, 1))
        await subscription.acknowledge(taken[-1])
    return numbers(deliveries)


@asynccontextmanager
async def subscribed(bus: BusOf, service: str = "refunds") -> AsyncIterator[Subscription]:
    """The service listens."""
    subscription = await bus(service).subscribe(service, [KEY])
    try:
        yield subscription
    finally:
        await subscription.close()


@asynccontextmanager
async def publishing(bus: BusOf, *queues: str) -> AsyncIterator[Publisher]:
    """`orders` has a connection for publishing."""
    publisher = await bus("orders").publisher(queues)
    try:
        yield publisher
    finally:
        await publisher.close()


@asynccontextmanager
async def published(bus: BusOf, *what: int) -> AsyncIterator[Publisher]:
    """`orders` has published to `refunds`."""
    async with subscribed(bus):
        pass
    async with publishing(bus) as publisher, asyncio.timeout(10):
        await publisher.publish(messages(*what))
        yield publisher


async def test_messages_arrive_in_the_order_of_publishing(bus: BusOf) -> None:
    """Many messages published at once arrive once each, in their order."""
    async with subscribed(bus) as subscription, published(bus, *range(1000)):
        assert await finish(subscription, 1000) == list(range(1000))


async def test_a_batch_is_bounded(bus: BusOf) -> None:
    """`take` returns at most as many as asked for; the rest stays for the next batch."""
    async with subscribed(bus) as subscription, published(bus, *range(30)):
        taken: list[int] = []
        while len(taken) < 30:
            batch = await subscription.take(7)
            assert 1 <= len(batch) <= 7
            taken += numbers(batch)
            await subscription.acknowledge(batch[-1])
        assert taken == list(range(30))


async def test_a_mandatory_message_without_a_queue_is_refused(bus: BusOf) -> None:
    """Publishing an unroutable message fails, and what is published with it still arrives."""
    async with publishing(bus) as publisher, subscribed(bus) as subscription:
        confirmed: list[int] = []
        routed = [
            replace(message, confirmed=partial(confirmed.append, int(message.body))) for message in messages(1, 2)
        ]
        unrouted = Message("orders.Unheard", b"?", confirmed=lambda: confirmed.append(0))
        with pytest.raises(Unroutable, match=r"no queue takes orders\.Unheard") as refusal:
            await publisher.publish([unrouted, *routed])
        assert refusal.value.messages == [unrouted]
        assert await finish(subscription, 2) == [1, 2]
        assert sorted(confirmed) == [1, 2]


async def test_an_optional_message_without_a_queue_is_dropped(bus: BusOf) -> None:
    """A message that is not mandatory may be unroutable."""
    async with publishing(bus) as publisher:
        await publisher.publish([Message("orders.Unheard", b"?", mandatory=False)])


async def test_a_publisher_waits_for_the_queues_of_its_consumers(bus: BusOf) -> None:
    """`publisher` returns only when each consumer's queue exists and is bound."""
    with pytest.raises(BusError):
        await bus("orders").publisher(["refunds"])
    async with subscribed(bus), publishing(bus, "refunds"):
        pass


async def test_services_of_one_process_may_start_in_any_order(memory_bus: BusOf) -> None:
    """A publisher in the process of its consumers waits for them for a moment."""
    opening = asyncio.create_task(memory_bus("orders").publisher(["refunds"]))
    await asyncio.sleep(0.05)
    async with subscribed(memory_bus):
        await (await opening).close()


async def test_unacknowledged_messages_are_delivered_again(bus: BusOf) -> None:
    """A queue outlives its subscription: the next one gets the messages that came without one, and those that the first
    did not acknowledge, marked and in order."""
    async with published(bus, *range(8)):
        async with subscribed(bus) as first:
            taken = await take(first, 5)
            assert [delivery.earlier for delivery in taken] == [0, 0, 0, 0, 0]
            await first.acknowledge(taken[1])
        for earlier in (1, 2):
            async with subscribed(bus) as other:
                again = await take(other, 6)
                assert numbers(again) == [2, 3, 4, 5, 6, 7]
                assert [delivery.earlier for delivery in again[:3]] == [earlier, earlier, earlier]
        async with subscribed(bus) as last:
            assert await finish(last, 6) == [2, 3, 4, 5, 6, 7]


async def test_one_subscription_at_a_time_gets_messages(bus: BusOf) -> None:
    """Of two replicas one gets all messages, so that order is kept; when it stops, the other takes over."""
    async with subscribed(bus) as first, subscribed(bus) as second, published(bus, *range(50)):
        waiting = asyncio.create_task(finish(second, 40))
        taken = await take(first, 50)
        assert numbers(taken) == list(range(50))
        assert not waiting.done()
        await first.acknowledge(taken[9])
        await first.close()
        assert await waiting == list(range(10, 50))


async def test_a_large_body_arrives_whole(bus: BusOf) -> None:
    """A body of 200 KiB arrives unchanged."""
    body = bytes(range(256)) * 800
    async with subscribed(bus) as subscription, publishing(bus) as publisher:
        await publisher.publish([Message(KEY, body)])
        (delivery,) = await take(subscription, 1)
        assert delivery.body == body
        assert delivery.routing_key == KEY
        await subscription.acknowledge(delivery)


async def test_a_closed_subscription_raises_a_bus_error(bus: BusOf) -> None:
    """Waiting on a subscription that is closed, or using it afterwards, raises a BusError."""
    async with subscribed(bus) as subscription, published(bus, 1):
        (delivery,) = await take(subscription, 1)
        waiting = asyncio.create_task(subscription.take(1))
        await asyncio.sleep(0)
        await subscription.close()
        for use in (waiting, subscription.take(1), subscription.acknowledge(delivery)):
            with pytest.raises(BusError):
                await use
        async with subscribed(bus) as next_one:
            assert await finish(next_one, 1) == [1]


async def test_a_message_that_is_never_acknowledged_is_set_aside(bus: BusOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the delivery limit a message becomes a dead letter, and no longer delays the others."""
    for module in (topology, memory):
        monkeypatch.setattr(module, "DELIVERY_LIMIT", 3)
    async with published(bus, 0):
        for earlier in range(4):
            async with subscribed(bus) as subscription:
                (delivery,) = await take(subscription, 1)
                assert delivery.earlier == earlier
    async with published(bus, 1), subscribed(bus) as subscription:
        assert await finish(subscription, 1) == [1]


async def test_every_queue_gets_a_copy_without_delay(bus: BusOf) -> None:
    """Each subscribed service gets each message; one that is paused or slow delays neither publishing nor a third."""
    async with (
        subscribed(bus),
        subscribed(bus, "cs") as slow,
        subscribed(bus, "chat") as chat,
        publishing(bus, "refunds", "cs", "chat") as publisher,
        asyncio.timeout(10),
    ):
        for number in range(5):
            await publisher.publish(messages(number))
            assert await finish(chat, 1) == [number]
        assert numbers(await take(slow, 5)) == list(range(5))
    async with subscribed(bus) as refunds_again:
        assert await finish(refunds_again, 5) == list(range(5))


async def test_in_memory_a_message_is_settled_when_every_queue_has_acknowledged_it(memory_bus: BusOf) -> None:
    """The bus in memory has no disk: until every queue has acknowledged a message, its publisher has to keep it."""
    confirmed = asyncio.Event()
    async with subscribed(memory_bus, "chat") as chat, subscribed(memory_bus) as refunds:
        async with publishing(memory_bus) as publisher:
            await publisher.publish([replace(message, confirmed=confirmed.set) for message in messages(1)])
        await take(refunds, 1)
        assert await finish(chat, 1) == [1]
        await refunds.close()
        async with subscribed(memory_bus) as refunds_again:
            (delivery,) = await take(refunds_again, 1)
            assert not confirmed.is_set()
            await refunds_again.acknowledge(delivery)
            assert confirmed.is_set()


@pytest.mark.servers
async def test_at_rabbitmq_a_message_is_settled_when_it_is_confirmed(rabbit_bus: BusOf) -> None:
    """RabbitMQ confirms a message once it is stored, handled or not."""
    confirmed = asyncio.Event()
    async with subscribed(rabbit_bus), publishing(rabbit_bus) as publisher:
        await publisher.publish([replace(message, confirmed=confirmed.set) for message in messages(1)])
        assert confirmed.is_set()
