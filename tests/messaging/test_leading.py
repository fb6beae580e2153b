"""One relay of a database publishes; another takes over when it is gone, and it is notified of others' events."""

import asyncio

import pytest

from runtime.messaging import relay
from runtime.messaging.bus import Message
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.toys import Toy, Toys, running


async def test_one_of_two_relays_publishes_and_the_other_takes_over(toys: Toys) -> None:
    """Two replicas have one connection for publishing between them; when the leader's lock is gone, the other leads."""
    first, refunds = await toys.orders(), await toys.refunds()
    second = await toys.on(first.url, "orders", {})
    first.relay._bus = second.relay._bus = bus = Unreliable(first.bus)
    async with running(first.relay.run(), second.relay.run(), refunds.consumer.run()):
        for number in range(0, 150, 3):
            await (first if number % 2 else second).publish(number, number + 1, number + 2)
            if number in {45, 90}:
                await becomes(refunds.effects, list(range(number + 3)))
                assert bus.max_publishers <= number // 45  # who lost the lock needs a moment to notice
                assert await _end_the_leader(first) == [True]
        await becomes(refunds.effects, list(range(150)))


async def test_a_leader_that_stands_still_is_replaced(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server takes the lock from a relay that does not come back from publishing."""

    async def stand_still(messages: list[Message]) -> None:
        if messages:
            await asyncio.Event().wait()

    monkeypatch.setitem(relay.LEASE, "idle_session_timeout", "300ms")
    first, refunds = await toys.orders(), await toys.refunds()
    second = await toys.on(first.url, "orders", {})
    async with running(refunds.consumer.run(), first.relay.run()):
        await becomes(first.leads, True)
        monkeypatch.setattr(first.relay._publisher, "publish", stand_still)
        await first.publish(1)
        async with running(second.relay.run()):
            await becomes(refunds.effects, [1])


async def test_the_leader_is_notified_of_another_replicas_events(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event written by a replica that does not lead leaves at once, long before the leader's timer."""
    first, refunds = await toys.orders(), await toys.refunds()
    second = await toys.on(first.url, "orders", {})
    monkeypatch.setattr(relay, "POLL", 20)  # also for the services of other tests that run meanwhile
    async with asyncio.timeout(15), refunds.consuming(), running(first.relay.run()):
        await becomes(first.leads, True)
        async with running(second.relay.run()):
            await second.publish(1)
            await becomes(refunds.effects, [1])


async def _end_the_leader(toy: Toy) -> list[bool]:
    return await toy.fetch(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted and database = "
        "(select oid from pg_database where datname = current_database())"
    )
