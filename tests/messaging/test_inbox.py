"""Every event has its effect once, through redeliveries and failures."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import asyncpg
import pytest

from runtime.messaging import batches, consumer
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability import trace_context
from runtime.storage.database import DatabaseUnavailable
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.toys import Counted, HeldHandler, Toys, message, running, write_down


async def test_a_duplicate_has_no_second_effect(toys: Toys) -> None:
    """The same event, twice in one batch and once more later, is acted on once, and is acknowledged each time."""
    refunds = await toys.refunds()
    first, second = message(1), message(2)
    async with refunds.consuming():
        await toys.send(first, first)
        await becomes(refunds.effects, [1])
        await toys.send(first, second)
        await becomes(refunds.effects, [1, 2])


async def test_two_replicas_at_the_same_message_have_one_effect(embedded_toys: Toys) -> None:
    """The replica that inserts the inbox row first handles the event; the other waits for it, and then does nothing."""
    toys, apart = embedded_toys, MemoryBus()
    first = await toys.refunds()
    second = await toys.on(first.url, "refunds", {Counted: write_down})
    second.consumer._bus = apart
    messages = [message(number) for number in range(100)]
    async with first.consuming(), second.consuming():
        await toys.send(*messages)
        await toys.send(*messages, bus=apart)
        await toys.send(message(100), bus=apart)
        await becomes(first.count("inbox"), 101)
    assert sorted(await first.effects()) == list(range(101))


async def test_messages_share_transactions_of_bounded_size(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that have arrived together share a transaction, which holds at most BATCH of them."""
    monkeypatch.setattr(consumer, "BATCH", 10)
    refunds = await toys.refunds()
    async with refunds.consuming():
        await toys.send(*(message(number) for number in range(200)))
        await becomes(refunds.effects, list(range(200)))
    sizes = await refunds.fetch("select count(*) from effects group by xmin::text")
    assert max(sizes) <= 10
    assert len(sizes) < 100


async def test_a_bad_message_affects_no_other(toys: Toys, caplog: pytest.LogCaptureFixture) -> None:
    """Of twenty messages the one whose handler keeps failing is parked with its error after five attempts, and the
    others are handled. The consumer takes the batch apart itself; nothing goes back to the broker."""
    attempts = 0

    async def fail_at_seven(tx: Transaction, event: Counted) -> Sequence[Event]:
        nonlocal attempts
        written = await write_down(tx, event)
        if event.number == 7:
            attempts += 1
            raise ValueError("seven is too much")
        return written

    refunds = await toys.refunds(fail_at_seven)
    async with refunds.consuming():
        await toys.send(*(message(number) for number in range(20)))
        await becomes(refunds.effects, [number for number in range(20) if number != 7])
    (parked,) = await refunds.parked()
    assert parked.error == "failed 5 times, last with ValueError('seven is too much')"
    assert 5 <= attempts <= 6  # one more where it came in company
    assert await refunds.outbox() == 19
    assert "the consumer failed" not in caplog.text


async def test_failures_are_counted_across_restarts(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of attempts survives a restart of the service."""
    attempts, fourth = 0, asyncio.Event()
    monkeypatch.setattr(batches, "STOPPING", 0.01)

    async def fail(tx: Transaction, event: Counted) -> Sequence[Event]:
        nonlocal attempts
        attempts += 1
        if attempts == 4:
            fourth.set()
            await asyncio.Event().wait()  # the service is stopped during the fourth attempt
        raise ValueError(event.number)

    refunds = await toys.refunds(fail)
    async with refunds.consuming():
        await toys.send(message(1))
        await fourth.wait()
    assert await refunds.fetch("select failures from failures") == [3]
    restarted = await toys.on(refunds.url, "refunds", {Counted: fail})
    async with restarted.consuming():
        await becomes(refunds.count("parked"), 1)
    assert attempts == 3 + 1 + 2
    assert await refunds.count("failures")() == 0


@pytest.mark.parametrize("fault", [DatabaseUnavailable(), asyncpg.ReadOnlySQLTransactionError(""), OSError("gone")])
async def test_a_transient_error_counts_no_attempt(toys: Toys, fault: Exception) -> None:
    """While the database fails, the consumer waits: no attempt is counted and nothing is parked."""
    attempts = 0

    async def fail_at_first(tx: Transaction, event: Counted) -> Sequence[Event]:
        nonlocal attempts
        attempts += 1
        if attempts < 9:
            raise fault
        return await write_down(tx, event)

    refunds = await toys.refunds(fail_at_first)
    async with refunds.consuming():
        await toys.send(message(1), message(2))
        await becomes(refunds.effects, [1, 2])
    assert await refunds.parked() == []
    assert await refunds.count("failures")() == 0


async def test_a_migration_by_another_replica_counts_no_attempt(toys: Toys) -> None:
    """A statement that was prepared before the tables changed is prepared anew."""

    async def read_all(tx: Transaction, event: Counted) -> Sequence[Event]:
        await tx.connection.fetch("select * from effects")
        return await write_down(tx, event)

    refunds = await toys.refunds(read_all)
    async with refunds.consuming():
        await toys.send(message(1))
        await becomes(refunds.effects, [1])
        await refunds.fetch("alter table effects add column added text")
        await toys.send(message(2))
        await becomes(refunds.effects, [1, 2])
    assert await refunds.count("failures")() == 0
    await refunds.fetch("alter table effects drop column added")


async def test_effects_are_committed_before_the_acknowledgement(toys: Toys) -> None:
    """At the moment of an acknowledgement, effects and parked messages are committed: a crash then loses nothing."""
    committed: list[int] = []

    async def fail_at_odd(tx: Transaction, event: Counted) -> Sequence[Event]:
        if event.number % 2:
            raise ValueError("odd")
        return await write_down(tx, event)

    refunds = await toys.refunds(fail_at_odd)
    refunds.consumer._bus = bus = Unreliable(refunds.bus)

    async def count() -> None:
        committed.append(await refunds.count("effects")() + await refunds.count("parked")())

    bus.before_acknowledging = count
    async with refunds.consuming():
        for number in range(4):
            await toys.send(message(number))
            await becomes(refunds.count("effects"), number // 2 + 1)
            await becomes(refunds.count("parked"), (number + 1) // 2)
    assert committed == [1, 2, 3, 4]


async def test_a_crash_before_the_commit_loses_nothing(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message whose handling was cut off has had no effect, and comes again."""
    monkeypatch.setattr(batches, "STOPPING", 0.0)
    refunds = await toys.refunds(held := HeldHandler())
    async with refunds.consuming():
        await toys.send(message(1))
        await held.reached.wait()
    assert await refunds.effects() == []
    held.released.set()
    async with refunds.consuming():
        await becomes(refunds.effects, [1])


@pytest.mark.parametrize("closing_fails", [0, 2])
async def test_an_event_that_was_not_acknowledged_has_no_second_effect(toys: Toys, closing_fails: int) -> None:
    """An event that was handled but not acknowledged is delivered again, without a second effect, also when the broken
    subscription cannot be closed."""
    refunds = await toys.refunds()
    refunds.consumer._bus = bus = Unreliable(refunds.bus, lose_acknowledgements=2, fail_closing=closing_fails)
    async with refunds.consuming():
        await toys.send(message(1), message(2))
        await toys.send(message(3))
        await becomes(refunds.effects, [1, 2, 3])
        await becomes(bus.faults_left, 0)


async def test_stopping_finishes_the_current_batch(toys: Toys) -> None:
    """A handler that runs while the service stops finishes; its message is acknowledged and not delivered again."""
    refunds = await toys.refunds(held := HeldHandler())
    consuming = asyncio.create_task(refunds.consumer.run())
    await becomes(refunds.is_consuming, True)
    await toys.send(message(1))
    await held.reached.wait()
    consuming.cancel()
    asyncio.get_running_loop().call_later(0.05, held.released.set)
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert await refunds.effects() == [1]
    later = message(2)
    await toys.send(later)
    subscription = await refunds.bus.subscribe("refunds", [])
    assert [delivery.body for delivery in await subscription.take(2)] == [later.body]
    await subscription.close()


async def test_a_message_that_crashes_the_service_is_parked(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that was in hand in five crashes is parked unhandled; its neighbours are handled."""
    monkeypatch.setattr(batches, "STOPPING", 0.0)
    reached = asyncio.Event()
    guilty = {0, 1, 2}

    async def go_down(tx: Transaction, event: Counted) -> Sequence[Event]:
        if event.number in guilty:
            reached.set()
            await asyncio.Event().wait()
        return await write_down(tx, event)

    refunds = await toys.refunds(go_down)
    async with refunds.consuming():
        await toys.send(*(message(number) for number in range(3)))
        await reached.wait()
    guilty = {1}
    for _ in range(1 + consumer.MAX_CRASHES):  # the first time a neighbour that comes before it is the suspect
        reached.clear()
        async with refunds.consuming():
            await reached.wait()
        assert await refunds.parked() == []
    async with refunds.consuming():
        await becomes(refunds.effects, [0, 2])
        (parked,) = await refunds.parked()
    assert parked.error == "the service went down over it 5 times"
    assert await refunds.count("failures")() == 0


async def test_messages_delivered_before_are_handled_one_by_one(toys: Toys) -> None:
    """After a crash each message is handled alone, so that the next crash shows its cause. A message that was often
    delivered and never handled is not to blame."""
    refunds = await toys.refunds()
    async with refunds.consuming():
        pass
    await toys.send(*(message(number) for number in range(3)))
    for _ in range(25):
        subscription = await refunds.bus.subscribe("refunds", [])
        for _ in range(3):
            await subscription.take(1)
        await subscription.close()
    async with refunds.consuming():
        await becomes(refunds.effects, [0, 1, 2])
    assert await refunds.parked() == []
    assert len(await refunds.fetch("select distinct xmin::text from effects")) == 3


async def test_events_that_follow_carry_their_cause(toys: Toys) -> None:
    """An event that a handler returns has correlation id and trace of the handled event, which is its cause."""
    orders, refunds = await toys.orders(), await toys.refunds()
    with trace_context.use_context(trace_context.start_context()) as context:
        await orders.publish(1)
    async with running(orders.relay.run(), refunds.consumer.run()):
        await becomes(refunds.outbox, 1)
    (cause,) = await refunds.fetch("select event_id from inbox")
    async with refunds.database.connection() as connection:
        row = await connection.fetchrow("select correlation_id, causation_id, traceparent from outbox")
    assert row is not None
    assert row["correlation_id"] == context.correlation_id
    assert row["causation_id"] == cause
    assert row["traceparent"].split("-")[1] == context.traceparent.split("-")[1]


async def test_events_of_a_stream_share_a_transaction(embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a batch of several events the next one begins an interval later; after a single event it begins at once."""
    monkeypatch.setattr(consumer, "BATCH_INTERVAL", 1_000.0)
    refunds = await embedded_toys.refunds()
    async with refunds.consuming():
        for number in (1, 2, 3):
            await embedded_toys.send(message(number))
            await becomes(refunds.effects, [*range(1, number + 1)])
        monkeypatch.setattr(consumer, "BATCH_INTERVAL", 1.0)
        began = monotonic()
        await embedded_toys.send(message(4), message(5))
        await becomes(refunds.effects, [1, 2, 3, 4, 5])
        await embedded_toys.send(message(6))
        await embedded_toys.send(message(7))
        await becomes(refunds.effects, [*range(1, 8)])
        assert monotonic() - began >= 1.0
        assert await refunds.fetch("select count(distinct xmin::text)::integer from effects where number > 5") == [1]
