"""A broker that answers late or not at all, as while another node of its cluster is cut off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiormq import Channel

from runtime.messaging.bus import BusError, rabbitmq, topology
from runtime.messaging.bus.connection import RabbitConnection, open_channel
from tests.conftest import BusOf
from tests.harness.waiting import eventually
from tests.messaging.test_bus import KEY, messages, publishing, subscribed, take

pytestmark = pytest.mark.servers


class Bindings:
    """Counts the bindings that were asked for; from `stop` on none is answered."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = True
        self._declare = topology.declare

    async def declare(self, *arguments: Any) -> None:
        """What `topology.declare` does, or nothing."""
        self.asked += 1
        if not self.answers:
            await asyncio.Event().wait()
        await self._declare(*arguments)

    async def asked_again(self) -> None:
        """Returns after three more."""
        before = self.asked

        async def more() -> bool:
            return self.asked >= before + 3

        await eventually(more)


@pytest.fixture
def bindings(monkeypatch: pytest.MonkeyPatch) -> Bindings:
    """Those of all services, with short waits."""
    found = Bindings()
    monkeypatch.setattr(topology, "declare", found.declare)
    monkeypatch.setattr(rabbitmq, "REDECLARE", 0.05)
    monkeypatch.setattr(rabbitmq, "BIND_TIMEOUT", 0.2)
    return found


async def test_a_subscription_outlives_a_binding_without_an_answer(rabbit_bus: BusOf, bindings: Bindings) -> None:
    """While no binding is answered, a subscription goes on, and so does the transaction that guards the binding: its
    database would take an error of it for one of its own. Then it binds again."""
    faults: list[BaseException] = []

    @asynccontextmanager
    async def guard() -> AsyncIterator[bool]:
        try:
            yield True
        except Exception as error:
            faults.append(error)
            raise

    subscription = await rabbit_bus("refunds").subscribe("refunds", [KEY], guard=guard)
    try:
        bindings.answers = False
        await bindings.asked_again()
        async with publishing(rabbit_bus, "refunds") as publisher:
            await publisher.publish(messages(1, 2, 3))
        async with asyncio.timeout(5):
            await subscription.acknowledge((await take(subscription, 3))[-1])
        bindings.answers = True
        await bindings.asked_again()
    finally:
        await subscription.close()
    assert faults == []


async def test_a_service_consumes_before_its_binding_is_answered(rabbit_bus: BusOf, bindings: Bindings) -> None:
    """A subscription that is new consumes what its queue holds, if the queue was bound before; else it is refused."""
    bindings.answers = False
    with pytest.raises(BusError):
        await rabbit_bus("refunds").subscribe("refunds", [KEY])
    bindings.answers = True
    async with subscribed(rabbit_bus):
        pass
    async with publishing(rabbit_bus, "refunds") as publisher:
        await publisher.publish(messages(1, 2))
    bindings.answers = False
    async with subscribed(rabbit_bus) as subscription, asyncio.timeout(5):
        await take(subscription, 2)


async def test_a_publisher_opens_one_channel(rabbit_bus: BusOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many consumers it waits for: each channel takes seconds then."""
    opened: list[RabbitConnection] = []

    async def count(connection: RabbitConnection, **options: bool) -> Channel:
        opened.append(connection)
        return await open_channel(connection, **options)

    async with subscribed(rabbit_bus), subscribed(rabbit_bus, "chat"):
        monkeypatch.setattr(rabbitmq, "open_channel", count)
        async with publishing(rabbit_bus, "refunds", "chat"):
            assert len(opened) == 1
