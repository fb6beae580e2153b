"""Every event has its effect once, through redeliveries and failures."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from runtime.messaging import consumer
from runtime.messaging.bus import Message
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.consumer import BatchHandler
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability import trace_context
from runtime.storage.database import DatabaseUnavailable
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.toys import Counted, Toys, message, running, write_down


async def test_an_event_has_its_effect_in_another_service(toys: Toys) -> None:
    """A consumer handles what another service publishes, in order; an event without a consumer holds nothing up."""
    orders, refunds = await toys.orders(), await toys.refunds()
    async with running(orders.relay.run(), refunds.consumer.run(), refunds.relay.run()):
        await orders.say(*range(10))
        await becomes(refunds.effects, list(range(10)))
        await becomes(orders.outbox, 0)
        await becomes(refunds.outbox, 0)


async def test_a_duplicate_has_no_second_effect(toys: Toys) -> None:
    """The same event, twice in one batch and once more later, is acted on once, and is acknowledged each time."""
    refunds = await toys.refunds()
    first, second = message(1), message(2)
    async with running(refunds.consumer.run()):
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
    async with running(first.consumer.run(), second.consumer.run()):
        await toys.send(*messages)
        await toys.send(*messages, bus=apart)
        await toys.send(message(100), bus=apart)
        await becomes(first.count("inbox"), 101)
    assert sorted(await first.effects()) == list(range(101))


async def test_what_has_arrived_shares_a_transaction(toys: Toys) -> None:
    """Many messages cost few commits."""
    refunds = await toys.refunds()
    async with running(refunds.consumer.run()):
        await toys.send(*(message(number) for number in range(200)))
        await becomes(refunds.effects, list(range(200)))
    assert len(await refunds.fetch("select distinct xmin::text from effects")) < 100


class Other(Event, name="Other", version=1, subject="thing", published_by=("orders",), consumed_by=("refunds",)):
    """Something else was counted."""

    thing: str
    number: int
    note: str


async def test_a_batch_is_prepared_before_any_of_it_is_handled(embedded_toys: Toys) -> None:
    """A batch handler's `acquire_locks` gets all events of its type in the batch, before any is handled."""
    steps: list[tuple[str, int]] = []

    async def acquire_locks(tx: Transaction, same_type: Sequence[Envelope[Counted]]) -> None:
        steps.extend(("prepared", envelope.data.number) for envelope in same_type)

    async def handle(tx: Transaction, same_type: Sequence[Envelope[Counted]]) -> None:
        steps.extend(("handled", envelope.data.number) for envelope in same_type)

    async def consume(tx: Transaction, other: Other) -> Sequence[Event]:
        steps.append(("other", other.number))
        return []

    url = await embedded_toys.database("refunds")
    refunds = await embedded_toys.on(url, "refunds", {Counted: BatchHandler(handle, acquire_locks), Other: consume})
    other = message(2, type="Other", dataschema=Other.dataschema())
    async with running(refunds.consumer.run()):
        await embedded_toys.send(message(1), Message("orders.Other", other.body), message(3))
        await becomes(refunds.count("inbox"), 3)
    assert steps == [("prepared", 1), ("prepared", 3), ("handled", 1), ("other", 2), ("handled", 3)]


async def test_a_transaction_holds_a_bounded_number_of_messages(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much has arrived, a batch is no larger than BATCH."""
    monkeypatch.setattr(consumer, "BATCH", 10)
    refunds = await toys.refunds()
    async with running(refunds.consumer.run()):
        await toys.send(*(message(number) for number in range(60)))
        await becomes(refunds.effects, list(range(60)))
    assert max(await refunds.fetch("select count(*) from effects group by xmin::text")) <= 10


async def test_a_bad_message_harms_itself_only(toys: Toys, caplog: pytest.LogCaptureFixture) -> None:
    """One of twenty whose handler keeps failing: 19 effects, and that one parked with its error after five attempts.
    The batch is taken apart where it is; nothing goes back to the broker."""
    attempts = 0

    async def fail_at_seven(tx: Transaction, event: Counted) -> Sequence[Event]:
        nonlocal attempts
        written = await write_down(tx, event)
        if event.number == 7:
            attempts += 1
            raise ValueError("seven is too much")
        return written

    refunds = await toys.refunds(fail_at_seven)
    async with running(refunds.consumer.run()):
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
    monkeypatch.setattr(consumer, "STOPPING", 0.01)

    async def fail(tx: Transaction, event: Counted) -> Sequence[Event]:
        nonlocal attempts
        attempts += 1
        if attempts == 4:
            fourth.set()
            await asyncio.Event().wait()  # the service is stopped during the fourth attempt
        raise ValueError(event.number)

    refunds = await toys.refunds(fail)
    async with running(refunds.consumer.run()):
        await toys.send(message(1))
        await fourth.wait()
    assert await refunds.fetch("select failures from failures") == [3]
    restarted = await toys.on(refunds.url, "refunds", {Counted: fail})
    async with running(restarted.consumer.run()):
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
    async with running(refunds.consumer.run()):
        await toys.send(message(1), message(2))
        await becomes(refunds.effects, [1, 2])
    assert await refunds.parked() == []
    assert await refunds.count("failures")() == 0


async def test_a_migration_by_another_replica_burns_nothing(toys: Toys) -> None:
    """A statement that was prepared before the tables changed is prepared anew."""

    async def read_all(tx: Transaction, event: Counted) -> Sequence[Event]:
        await tx.connection.fetch("select * from effects")
        return await write_down(tx, event)

    refunds = await toys.refunds(read_all)
    async with running(refunds.consumer.run()):
        await toys.send(message(1))
        await becomes(refunds.effects, [1])
        await refunds.fetch("alter table effects add column added text")
        await toys.send(message(2))
        await becomes(refunds.effects, [1, 2])
    assert await refunds.count("failures")() == 0
    await refunds.fetch("alter table effects drop column added")


async def test_wrong_use_of_the_database_does_not_hold_up_the_queue(toys: Toys) -> None:
    """A handler whose query is wrong is a handler that fails, not a database that is away."""

    async def ask_wrongly(tx: Transaction, event: Counted) -> Sequence[Event]:
        if event.number == 1:
            await tx.connection.execute("select $1::int", 1, 2)
        return await write_down(tx, event)

    refunds = await toys.refunds(ask_wrongly)
    async with running(refunds.consumer.run()):
        await toys.send(message(1), message(2))
        await becomes(refunds.effects, [2])
    assert len(await refunds.parked()) == 1


async def test_what_is_acknowledged_is_in_the_database(toys: Toys) -> None:
    """At the moment of an acknowledgement, effects and parked messages are committed: a crash then loses nothing."""
    settled: list[int] = []

    async def fail_at_odd(tx: Transaction, event: Counted) -> Sequence[Event]:
        if event.number % 2:
            raise ValueError("odd")
        return await write_down(tx, event)

    refunds = await toys.refunds(fail_at_odd)
    refunds.consumer._bus = bus = Unreliable(refunds.bus)

    async def look() -> None:
        settled.append(await refunds.count("effects")() + await refunds.count("parked")())

    bus.before_acknowledging = look
    async with running(refunds.consumer.run()):
        for number in range(4):
            await toys.send(message(number))
            await becomes(refunds.count("effects"), number // 2 + 1)
            await becomes(refunds.count("parked"), (number + 1) // 2)

    assert settled == [1, 2, 3, 4]


async def test_a_crash_before_the_commit_loses_nothing(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message whose handling was cut off has had no effect, and comes again."""
    monkeypatch.setattr(consumer, "STOPPING", 0.0)
    reached = asyncio.Event()

    async def stand_still(tx: Transaction, event: Counted) -> Sequence[Event]:
        await write_down(tx, event)
        reached.set()
        await asyncio.Event().wait()
        return []

    refunds = await toys.refunds(stand_still)
    async with running(refunds.consumer.run()):
        await toys.send(message(1))
        await reached.wait()
    assert await refunds.effects() == []
    after_restart = await toys.on(refunds.url, "refunds", {Counted: write_down})
    async with running(after_restart.consumer.run()):
        await becomes(refunds.effects, [1])


async def test_a_crash_between_commit_and_acknowledgement_has_no_second_effect(toys: Toys) -> None:
    """A message that was handled but not acknowledged comes again, and does nothing."""
    refunds = await toys.refunds()
    refunds.consumer._bus = bus = Unreliable(refunds.bus, lose_acknowledgements=2)
    async with running(refunds.consumer.run()):
        await toys.send(message(1), message(2))
        await toys.send(message(3))
        await becomes(refunds.effects, [1, 2, 3])
        await becomes(bus.faults_left, 0)


async def test_a_subscription_that_cannot_be_closed_does_not_end_the_consumer(toys: Toys) -> None:
    """The consumer starts again after every error of a broken connection."""
    refunds = await toys.refunds()
    refunds.consumer._bus = bus = Unreliable(refunds.bus, lose_acknowledgements=2, fail_closing=2)
    async with running(refunds.consumer.run()):
        await toys.send(message(1))
        await toys.send(message(2))
        await becomes(refunds.effects, [1, 2])
        await becomes(bus.faults_left, 0)


async def test_stopping_finishes_what_is_in_hand(toys: Toys) -> None:
    """A handler that has begun is let finish; its message is acknowledged and does not come again."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    attempts = 0

    async def take_a_while(tx: Transaction, event: Counted) -> Sequence[Event]:
        nonlocal attempts
        attempts += 1
        reached.set()
        await go_on.wait()
        return await write_down(tx, event)

    refunds = await toys.refunds(take_a_while)
    consuming = asyncio.create_task(refunds.consumer.run())
    await toys.send(message(1))
    await reached.wait()
    consuming.cancel()
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert await refunds.effects() == [1]
    async with running(refunds.consumer.run()):
        await toys.send(message(2))
        await becomes(refunds.effects, [1, 2])
    assert attempts == 2


async def test_a_message_that_brings_the_service_down_is_parked_it_alone(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that was in hand in five crashes is parked unhandled; its neighbours are handled."""
    monkeypatch.setattr(consumer, "STOPPING", 0.0)
    reached = asyncio.Event()
    guilty = {0, 1, 2}

    async def go_down(tx: Transaction, event: Counted) -> Sequence[Event]:
        if event.number in guilty:
            reached.set()
            await asyncio.Event().wait()
        return await write_down(tx, event)

    refunds = await toys.refunds(go_down)
    async with running(refunds.consumer.run()):
        await becomes(refunds.is_consuming, True)
        await toys.send(*(message(number) for number in range(3)))
        await reached.wait()
    guilty = {1}
    for _ in range(1 + consumer.MAX_CRASHES):  # the first time a neighbour that comes before it is the suspect
        reached.clear()
        async with running(refunds.consumer.run()):
            await reached.wait()
        assert await refunds.parked() == []
    async with running(refunds.consumer.run()):
        await becomes(refunds.effects, [0, 2])
        (parked,) = await refunds.parked()
    assert parked.error == "the service went down over it 5 times"
    assert await refunds.count("failures")() == 0


async def test_what_was_only_held_when_the_service_went_down_is_handled(toys: Toys) -> None:
    """However often a message was delivered and not got at, it is not to blame."""
    refunds = await toys.refunds()
    async with running(refunds.consumer.run()):
        await becomes(refunds.is_consuming, True)
    await toys.send(*(message(number) for number in range(3)))
    for _ in range(25):
        subscription = await refunds.bus.subscribe("refunds", [])
        for _ in range(3):
            await subscription.take(1)
        await subscription.close()
    async with running(refunds.consumer.run()):
        await becomes(refunds.effects, [0, 1, 2])
    assert await refunds.parked() == []


async def test_what_comes_again_is_handled_one_by_one(toys: Toys) -> None:
    """After a crash each message is handled alone, so that the next crash shows which one was in hand."""
    refunds = await toys.refunds()
    async with running(refunds.consumer.run()):
        await becomes(refunds.is_consuming, True)
    await toys.send(*(message(number) for number in range(6)))
    subscription = await refunds.bus.subscribe("refunds", [])
    for _ in range(6):
        await subscription.take(1)
    await subscription.close()
    async with running(refunds.consumer.run()):
        await becomes(refunds.effects, list(range(6)))
    assert len(await refunds.fetch("select distinct xmin::text from effects")) == 6


async def test_events_that_follow_carry_their_cause(toys: Toys) -> None:
    """An event that a handler returns has correlation id and trace of the handled event, which is its cause."""
    orders, refunds = await toys.orders(), await toys.refunds()
    records = trace_context.start_context()
    with trace_context.use_context(records):
        await orders.say(1)
    async with running(orders.relay.run(), refunds.consumer.run()):
        await becomes(refunds.outbox, 1)
    (cause,) = await refunds.fetch("select event_id from inbox")
    async with refunds.database.connection() as connection:
        row = await connection.fetchrow("select correlation_id, causation_id, traceparent from outbox")
    assert row is not None
    assert row["correlation_id"] == records.correlation_id
    assert row["causation_id"] == cause
    assert row["traceparent"].split("-")[1] == records.traceparent.split("-")[1]
