"""An operation that keeps failing is tried at growing intervals, until that operation succeeds."""

import logging
import random
from collections.abc import Awaitable, Callable

import pytest

from runtime import backoff
from runtime.backoff import Backoff
from runtime.observability.trace_context import new_id
from runtime.storage import broadcast
from runtime.storage.broadcast import RedisBroadcast
from runtime.storage.redis import connect
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.toys import Toys, message, running

Pauses = list[float]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """The pauses that were made, without the random part."""
    made: Pauses = []
    real = Backoff.pause

    def pause(self: Backoff, error: BaseException) -> float:
        made.append(real(self, error))
        return made[-1]

    monkeypatch.setattr(random, "uniform", lambda _, longest: longest)
    monkeypatch.setattr(Backoff, "pause", pause)
    return made


LONGER = [0.01, 0.02, 0.04, 0.05, 0.05, 0.05]
"""As the pauses of the tests grow, up to the longest."""


def first_six(pauses: Pauses) -> Callable[[], Awaitable[Pauses]]:
    """Asks for the first six pauses so far."""

    async def ask() -> Pauses:
        return pauses[:6]

    return ask


async def test_a_relay_that_cannot_publish_backs_off(toys: Toys, pauses: Pauses) -> None:
    """A connection is no success, and a publish is one, after which a new failure begins with a short pause."""
    orders, refunds = await toys.orders(), await toys.refunds()
    orders.relay._bus = bus = Unreliable(orders.bus, refuse=6)
    async with refunds.consuming(), running(orders.relay.run()):
        await orders.publish(1)
        await becomes(refunds.effects, [1])
        assert pauses == LONGER
        bus.refuse = 1
        await orders.publish(2)
        await becomes(refunds.effects, [1, 2])
        assert pauses == [*LONGER, 0.01]


async def test_a_relay_that_cannot_delete_publishes_once(toys: Toys, pauses: Pauses) -> None:
    """Where rows cannot be deleted the relay tries less and less often, and what was published leaves the outbox in the
    end without having been published a second time."""
    orders, refunds = await toys.orders(), await toys.refunds()
    await orders.fetch(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$"
    )
    await orders.fetch("create trigger refuse before delete on outbox for each row execute function refuse()")
    orders.relay._bus = bus = Unreliable(orders.bus)
    async with refunds.consuming(), running(orders.relay.run()):
        await orders.publish(1)
        await becomes(first_six(pauses), LONGER)
        await becomes(refunds.effects, [1])
        await orders.fetch("drop function refuse cascade")
        await becomes(orders.outbox, 0)
    assert len(bus.published) == 1


async def test_a_consumer_that_cannot_acknowledge_backs_off(toys: Toys, pauses: Pauses) -> None:
    """A subscription is no success, and an acknowledgement is one."""
    refunds = await toys.refunds()
    refunds.consumer._bus = Unreliable(refunds.bus, lose_acknowledgements=6)
    async with refunds.consuming():
        await toys.send(message(1), message(2))
        await becomes(refunds.effects, [1, 2])
        await becomes(first_six(pauses), LONGER)
    assert pauses == LONGER


async def test_a_broken_broadcast_subscription_backs_off(pauses: Pauses, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription at Redis is no success, if the first hint breaks it each time."""
    monkeypatch.setattr(broadcast, "RETRY", 600)
    name = new_id().hex
    redis, other = connect(f"memory://{name}"), connect(f"memory://{name}")
    asked = 0

    def break_off(_: str) -> None:
        nonlocal asked
        asked += 1
        if asked <= 6:
            raise ZeroDivisionError

    subscriber = RedisBroadcast(redis, "toys", break_off, lambda: None)

    async def consumed_seven() -> bool:
        await other.publish("toys", "another\nhint")
        return asked >= 7

    async with running(subscriber.run()):
        await becomes(consumed_seven, True)
    assert pauses == LONGER


def test_the_pause_is_bounded() -> None:
    """After thousands of failures, hours of them, it is still a pause of at most five seconds."""
    waiting = Backoff("nothing", logging.getLogger(__name__))
    assert max(waiting.pause(OSError()) for _ in range(3_000)) <= backoff.LONGEST
