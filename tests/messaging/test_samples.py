"""Metrics that a query or a queue answers: they are what is there now, and nothing that is no longer known."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy

import pytest
from prometheus_client import REGISTRY

from runtime.backoff import Backoff
from runtime.messaging.parked import ask_for_replay
from runtime.messaging.samples import sample_runtime
from runtime.observability import sampling
from runtime.observability.sampling import Sampler
from runtime.observability.telemetry import RELAY_LEADER
from runtime.storage.database import Database
from tests.harness.waiting import becomes, eventually
from tests.messaging.toys import Counted, HeldHandler, Toy, Toys, message, running


@pytest.fixture(autouse=True)
def _sampled_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "EVERY", 0.02)
    monkeypatch.setattr(sampling, "REST", 0)


def value(name: str, **labels: str) -> Callable[[], Awaitable[float | None]]:
    """Asks what `/metrics` says."""

    async def ask() -> float | None:
        return REGISTRY.get_sample_value(f"batalkan_{name}", labels)

    return ask


TOY = "toy"
"""A service of this name is sampled by no other test."""


def sampler_of(toy: Toy) -> Sampler:
    """What samples the runtime of a toy, as the service `TOY`."""
    uow, sampler = copy(toy.uow), Sampler(TOY)
    uow.service = TOY
    sample_runtime(sampler, uow, None)
    return sampler


async def test_the_outbox_is_counted_and_its_oldest_event_ages(embedded_toys: Toys) -> None:
    """What waits in the outbox is counted, the age of the oldest event grows, and both are 0 once all are published."""
    orders, refunds = await embedded_toys.orders(), await embedded_toys.refunds()
    count, age = value("outbox_unpublished", service=TOY), value("outbox_oldest_age_seconds", service=TOY)
    leads, orders.relay._shown = value("relay_leader", service=TOY), RELAY_LEADER.labels(TOY)
    async with running(sampler_of(orders).run()):
        await becomes(count, 0)
        await orders.publish(1, 2)
        await orders.fetch("update outbox set time = time - interval '90 seconds'")
        await becomes(count, 2)
        first = await eventually(age, enough=lambda seconds: seconds > 90)
        assert first < 120
        await eventually(age, enough=lambda seconds: seconds > first)
        assert not await leads()
        async with refunds.consuming(), running(orders.relay.run()):
            await becomes(count, 0)
            assert await age() == pytest.approx(0, abs=10)
            await becomes(leads, 1)
        await becomes(leads, 0)


async def test_deadlines_are_late_or_early(embedded_toys: Toys) -> None:
    """Deadlines that are due are counted; how late the next one is, is negative until it is due, and absent if there is
    none."""
    orders = await embedded_toys.orders()
    count, late = value("deadlines_overdue", service=TOY), value("deadlines_late_seconds", service=TOY)
    insert = (
        "insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent) "
        "select 'toy', '{0}', clock_now() + interval '{0} seconds', gen_random_uuid(), gen_random_uuid(), ''"
    )
    async with running(sampler_of(orders).run()):
        await becomes(count, 0)
        assert await late() is None
        await orders.fetch(insert.format(3600))
        assert -3600 <= await eventually(late, enough=lambda seconds: seconds < 0) < -3500
        await orders.fetch(insert.format(-60))
        await becomes(count, 1)
        assert 60 <= await eventually(late, enough=lambda seconds: seconds > 0) < 90
        await orders.fetch("delete from deadlines")
        await becomes(late, None)


async def test_parked_messages_by_error(embedded_toys: Toys) -> None:
    """Messages are counted by what went wrong, also after a replay that failed, and no more once they have had their
    effect."""
    broken = True

    async def handler(tx: object, event: Counted) -> list[Counted]:
        if broken:
            raise LookupError(f"with Another({event.number})")
        return []

    refunds = await embedded_toys.refunds(handler)
    lookup = value("parked", service=TOY, error="LookupError")
    async with running(sampler_of(refunds).run()), refunds.consuming():
        await embedded_toys.send(message(1), message(2, specversion="2.0"))
        await becomes(lookup, 1)
        await becomes(value("parked", service=TOY, error="unreadable"), 1)
        await refunds.call(ask_for_replay, None)
        while await refunds.replays.replay_one(Backoff("", sampling.log)):
            pass
        failed = await refunds.fetch("select error from parked where error like 'failed with LookupError%'")
        assert len(failed) == 1
        broken = False
        await refunds.call(ask_for_replay, None)
        while await refunds.replays.replay_one(Backoff("", sampling.log)):
            pass
        await becomes(lookup, None)
        assert await value("parked", service=TOY, error="unreadable")() == 1


async def test_a_queue_and_the_event_in_hand(toys: Toys) -> None:
    """On both buses, messages that wait are counted by queue, and the event that is being handled has its age; after
    it the lag is observed."""
    held = HeldHandler()
    refunds = await toys.refunds(held)
    age = value("queue_oldest_age_seconds", service="refunds", queue="refunds")
    lags = value("event_lag_seconds_count", service="refunds", type="Counted")
    before = await lags() or 0
    async with refunds.consuming():
        assert await age() == 0
        await toys.send(message(1))
        await held.reached.wait()
        year = 365 * 24 * 3600
        assert (await age() or 0) > year / 2  # the messages of toys are old
        assert [name for name, _ in await refunds.consumer.waiting()] == ["refunds", "refunds.dead"]
        held.released.set()
        await becomes(lags, before + 1)
        await becomes(age, 0)
    assert await age() is None
    assert await refunds.consumer.waiting() == []
    gauge = await toys.bus("refunds").subscribe("refunds", ["orders.Counted"])
    await toys.send(*(message(n) for n in range(400)))

    async def waiting() -> int:
        return (await gauge.waiting())["refunds"]

    await eventually(waiting, enough=lambda count: count > 100)  # the rest may be prefetched
    await gauge.close()


async def test_what_is_no_longer_known_is_not_shown(embedded_toys: Toys) -> None:
    """While the database is away its values are absent and the failure is counted; afterwards they are back. At the end
    of the service they are gone."""
    orders = await embedded_toys.orders()
    count, failed = value("outbox_unpublished", service=TOY), value("samples_failed_total", service=TOY)
    sampler = sampler_of(orders)
    before = await failed() or 0
    async with running(sampler.run()):
        await becomes(count, 0)
        pool, orders.database._pool = orders.database._pool, None
        await becomes(count, None)
        assert (await failed() or 0) > before
        assert await value("deadlines_overdue", service=TOY)() is None
        orders.database._pool = pool
        await becomes(count, 0)
    assert await count() is None


async def test_a_slow_query_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that takes long is not asked again before it has rested; the others are."""
    monkeypatch.setattr(sampling, "REST", 1000)
    asked = {"slow": 0, "quick": 0}

    async def slow() -> list[tuple[float, ...]]:
        asked["slow"] += 1
        await asyncio.sleep(0.1)
        return []

    async def quick() -> list[tuple[float, ...]]:
        asked["quick"] += 1
        return []

    async def often() -> int:
        return asked["quick"]

    sampler = Sampler("orders")
    sampler.add(slow)
    sampler.add(quick)
    async with running(sampler.run()):
        await eventually(often, enough=lambda count: count > 20)
    assert asked["slow"] == 1


async def test_waits_for_a_connection_are_observed(embedded_toys: Toys) -> None:
    """Each use of the pool reports how long it waited, also in vain."""
    waits: list[float] = []
    database = Database(await embedded_toys.database("orders"), pool_size=2)
    await database.connect()
    database.waited = waits.append
    async with database.connection():
        pass
    assert len(waits) == 1
    assert 0 <= waits[0] < 5
    await database.close()
