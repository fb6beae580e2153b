"""A deadline fires once, not before its time, and not after it was called off."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest

from runtime.messaging import deadlines
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.deadlines import DeadlineHandler, Locking
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability import trace_context
from runtime.storage import clock
from tests.conftest import BusOf
from tests.harness.waiting import becomes
from tests.messaging.toys import HeldHandler, Toy, Toys, running, write_down

HOUR = timedelta(hours=1)
NOW = timedelta()


async def service(toys: Toys, handler: DeadlineHandler | Locking = write_down) -> Toy:
    """A service with deadlines of the kind `due`, whose time can be moved."""
    toy = await toys.on(await toys.database("refunds"), "refunds", {}, {"due": handler})
    await toy.call(clock.allow, True)
    return toy


async def schedule(toy: Toy, delay: timedelta, *subjects: int) -> None:
    """Sets the deadlines."""
    async with toy.uow.begin() as tx:
        for subject in subjects:
            await tx.schedule("due", str(subject), delay)


async def pass_time(toy: Toy, by: timedelta) -> None:
    """Moves the service's time."""
    await toy.call(clock.advance, by)


async def test_a_deadline_fires_when_it_is_due(embedded_toys: Toys) -> None:
    """By the database's clock, a minute early is too early, and then it is time."""
    toy = await service(embedded_toys)
    await schedule(toy, HOUR, 1)
    await pass_time(toy, timedelta(minutes=59))
    assert await toy.deadlines.fire_due() == 0
    await pass_time(toy, timedelta(minutes=1))
    assert await toy.deadlines.fire_due() == 1
    assert await toy.effects() == [1]
    assert await toy.deadlines.fire_due() == 0


async def test_a_deadline_without_a_notification_fires(embedded_toys: Toys) -> None:
    """A deadline that becomes due without a notification fires, because the loop polls."""
    toy = await service(embedded_toys)
    await schedule(toy, HOUR, 1)
    async with running(toy.deadlines.run()):
        await pass_time(toy, HOUR)
        await becomes(toy.effects, [1])


async def test_the_loop_wakes_for_the_next_deadline(embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop wakes when the next deadline is due, also if one was due just before."""
    monkeypatch.setattr(deadlines, "POLL", 20.0)  # also for the services of other tests that run meanwhile
    toy = await service(embedded_toys)
    await schedule(toy, timedelta(seconds=0.2), 1)
    await schedule(toy, timedelta(seconds=0.4), 2)
    async with asyncio.timeout(15), running(toy.deadlines.run()):
        await becomes(toy.effects, [1, 2])


async def test_a_deadline_that_was_called_off_does_not_fire(embedded_toys: Toys) -> None:
    """A deadline that is called off does not fire, and all others do."""
    toy = await service(embedded_toys)
    await schedule(toy, HOUR, 1, 2)
    async with toy.uow.begin() as tx:
        await tx.call_off("due", "1")
        await tx.call_off("due", "never set")
    await pass_time(toy, HOUR)
    assert await toy.deadlines.fire_due() == 1
    assert await toy.effects() == [2]


async def test_a_deadline_that_was_moved_has_one_time(embedded_toys: Toys) -> None:
    """Scheduling a deadline again replaces it: it fires once, at the new time, with the newer trace context."""
    toy = await service(embedded_toys)
    await schedule(toy, HOUR, 1)
    with trace_context.use_context(trace_context.start_context()) as context:
        await schedule(toy, 2 * HOUR, 1)
    await pass_time(toy, HOUR)
    assert await toy.deadlines.fire_due() == 0
    await pass_time(toy, HOUR)
    assert await toy.deadlines.fire_due() == 1
    assert await toy.fetch("select correlation_id from outbox") == [context.correlation_id]


async def test_many_deadlines_and_three_replicas(toys: Toys, bus: BusOf) -> None:
    """Deadlines that are due at one moment each fire exactly once, on one replica: 10,000 on the real server."""
    many = 600 if isinstance(bus("-"), MemoryBus) else 10_000
    toy = await service(toys)
    replicas = [await toys.on(toy.url, "refunds", {}, {"due": write_down}) for _ in range(2)]
    await schedule(toy, HOUR, 0)
    await toy.fetch(
        "insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent) "
        "select kind, n::text, due_at, correlation_id, causation_id, traceparent "
        "from deadlines, generate_series(1, $1 - 1) as n",
        many,
    )
    await pass_time(toy, HOUR)
    fired = [0, 0, 0]

    async def fire(number: int, replica: Toy) -> None:
        while await toy.count("deadlines limit 1")():
            fired[number] += await replica.deadlines.fire_due()

    async with asyncio.timeout(100):
        await asyncio.gather(*(fire(number, one) for number, one in enumerate((toy, *replicas))))
    assert sum(fired) == many
    assert all(fired)
    assert sorted(await toy.effects()) == list(range(many))
    assert await toy.outbox() == many


async def test_replicas_do_not_wait_for_a_claimed_deadline(embedded_toys: Toys) -> None:
    """While one replica fires the deadlines that it has claimed, another fires the rest."""
    slow = await service(embedded_toys, held := HeldHandler())
    other = await embedded_toys.on(slow.url, "refunds", {}, {"due": write_down})
    await schedule(slow, NOW, *range(deadlines.BATCH + 5))
    first = asyncio.create_task(slow.deadlines.fire_due())
    await held.reached.wait()
    async with asyncio.timeout(20):
        assert await other.deadlines.fire_due() == 5
    held.released.set()
    assert await first == deadlines.BATCH


async def test_a_failing_deadline_harms_itself_only_and_is_tried_again(embedded_toys: Toys) -> None:
    """The others are acted on; the failing one later, with growing pauses, until it succeeds."""
    attempts: Counter[str] = Counter()

    async def fail_at_first(tx: Transaction, subject: str) -> Sequence[Event]:
        await write_down(tx, subject)
        attempts[subject] += 1
        if subject == "5" and attempts[subject] < 5:
            raise ValueError("not yet")
        return []

    toy = await service(embedded_toys, fail_at_first)
    await schedule(toy, NOW, *range(10))
    await toy.deadlines.fire_due()
    assert sorted(await toy.effects()) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert await toy.fetch("select failures from deadlines") == [1]
    for pause in (1, 2, 4):
        await pass_time(toy, timedelta(seconds=pause))
        await toy.deadlines.fire_due()
    assert sorted(await toy.effects()) == list(range(10))
    assert await toy.count("deadlines")() == 0


async def test_a_deadline_is_tried_again_however_often_it_failed(embedded_toys: Toys) -> None:
    """After thousands of failures the pause is five minutes, as after ten."""

    async def fail(tx: Transaction, subject: str) -> Sequence[Event]:
        raise ValueError("never")

    toy = await service(embedded_toys, fail)
    await schedule(toy, NOW, 1)
    await toy.fetch("update deadlines set failures = 5000 returning 1")
    await toy.deadlines.fire_due()
    assert await toy.fetch("select due_at - clock_now() between '4 min' and '5 min' from deadlines") == [True]


async def test_a_crash_while_acting_leaves_the_deadline(embedded_toys: Toys) -> None:
    """Acting and removing the deadline are one transaction: cut off in the middle, neither has happened."""
    toy = await service(embedded_toys, held := HeldHandler())
    await schedule(toy, NOW, 1)
    async with running(toy.deadlines.run()):
        await held.reached.wait()
    replica = await embedded_toys.on(toy.url, "refunds", {}, {"due": write_down})
    async with running(replica.deadlines.run()):
        await becomes(toy.effects, [1])


async def test_a_deadline_can_set_itself_again(embedded_toys: Toys) -> None:
    """A handler that schedules its own deadline anew is called again then: this is how a worker retries."""

    async def once_more(tx: Transaction, subject: str) -> Sequence[Event]:
        await write_down(tx, subject)
        await tx.schedule("due", subject, HOUR)
        return []

    toy = await service(embedded_toys, once_more)
    await schedule(toy, NOW, 1)
    for _ in range(3):
        assert await toy.deadlines.fire_due() == 1
        await pass_time(toy, HOUR)
    assert await toy.effects() == [1, 1, 1]


async def test_calling_off_waits_for_the_handler(embedded_toys: Toys) -> None:
    """Either the deadline is called off or it is acted on: never half of each."""
    toy = await service(embedded_toys, held := HeldHandler())
    await schedule(toy, NOW, 1)
    firing = asyncio.create_task(toy.deadlines.fire_due())
    await held.reached.wait()

    async def call_off() -> list[int]:
        async with toy.uow.begin() as tx:
            await tx.call_off("due", "1")
            return [row["number"] for row in await tx.connection.fetch("select number from effects")]

    calling_off = asyncio.create_task(call_off())
    await becomes(toy.count("pg_locks where not granted"), 1)
    held.released.set()
    assert await calling_off == [1]
    assert await firing == 1


async def test_the_subject_is_locked_before_the_deadline(embedded_toys: Toys) -> None:
    """A transaction that has locked the subject can call the deadline off while it is due: then it does not fire."""

    async def lock(tx: Transaction, subjects: Sequence[str]) -> None:
        assert subjects == ["1", "2"]
        await tx.connection.execute("select pg_advisory_xact_lock(1)")

    toy = await service(embedded_toys, Locking(write_down, lock))
    await schedule(toy, NOW, 1, 2)
    async with toy.uow.begin() as tx:
        await tx.connection.execute("select pg_advisory_xact_lock(1)")
        firing = asyncio.create_task(toy.deadlines.fire_due())
        await becomes(toy.count("pg_locks where not granted"), 1)
        await tx.call_off("due", "1")
    assert await firing == 1
    assert await toy.effects() == [2]


async def test_time_stands_still_outside_a_demonstration(embedded_toys: Toys) -> None:
    """Moving the clock is refused, and an offset from an earlier demonstration is taken back."""
    toy = await service(embedded_toys)
    await pass_time(toy, HOUR)
    await toy.call(clock.allow, False)
    assert await toy.call(clock.shift) == NOW
    with pytest.raises(clock.ClockFixed):
        await pass_time(toy, HOUR)
