"""Events leave if, and only if, their transaction commits: all of them, in order."""

from collections.abc import Sequence

import pytest

from runtime.messaging import outbox, relay
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Event
from runtime.messaging.relay import Relay
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.telemetry import OUTBOX_UNROUTABLE
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.toys import Counted, Toy, Toys, running, write_down


class Remembered(
    Event, name="Remembered", version=1, subject="thing", published_by=("orders",), consumed_by=("orders",)
):
    """An event that its own publisher consumes as well."""

    thing: str


class ForChat(Event, name="ForChat", version=1, subject="thing", published_by=("orders",), consumed_by=("chat",)):
    """An event for `chat`, which may not be there."""

    thing: str


async def handle(tx: Transaction, event: ForChat) -> Sequence[Event]:
    """The effect of `ForChat`, if its thing is a number."""
    return await write_down(tx, event.thing) if event.thing.isdigit() else []


async def chat_of(toys: Toys) -> Toy:
    """The consumer of `ForChat`."""
    return await toys.on(await toys.database("refunds"), "chat", {ForChat: handle})


async def test_an_event_of_a_failed_transaction_is_not_published(toys: Toys) -> None:
    """A transaction that is rolled back leaves no event in the outbox."""
    orders = await toys.orders()

    async def fail() -> None:
        async with orders.uow.begin() as tx:
            tx.publish(Counted(thing="a", number=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await orders.outbox() == 0


CHANGE = """
with changed as (
    insert into effects (thing, number, note) select 'a', 1, '' where $1 returning number
){events}
select number from changed
"""


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("changes", [True, False])
async def test_a_change_in_one_statement_with_its_events(autocommit: bool, changes: bool, toys: Toys) -> None:
    """A statement writes a change and its events, or neither if there is nothing to change, also by itself."""
    orders = await toys.orders()
    async with orders.uow.begin(autocommit=autocommit) as tx:
        tx.publish(Counted(thing="a", number=1), Counted(thing="a", number=2))
        assert await tx.write(CHANGE, changes) == (1 if changes else None)
        assert tx.connection.is_in_transaction() is not autocommit
    assert await orders.effects() == [1] * changes
    assert await orders.fetch("select sequence from outbox order by seq") == [1, 2] * changes
    assert await orders.count("event_log")() == 2 * changes
    assert await orders.fetch("select last from event_sequence") == [2] * changes


async def test_an_event_needs_the_transaction_of_its_change(toys: Toys) -> None:
    """Without a transaction an event that no change writes is an error: change and event would be two commits."""
    orders = await toys.orders()
    with pytest.raises(AssertionError, match="needs the transaction"):
        async with orders.uow.begin(autocommit=True) as tx:
            tx.publish(Counted(thing="a", number=1))
    assert await orders.outbox() == 0


async def test_a_row_that_commits_late_is_published(toys: Toys) -> None:
    """An event that was written first but committed last is published when it commits, also without a hint: the relay
    polls."""
    orders, refunds = await toys.orders(), await toys.refunds()
    async with running(orders.relay.run(), refunds.consumer.run()):
        async with orders.uow.begin() as slow:
            slow.publish(Counted(thing="slow", number=1))
            await slow.write_events()
            await orders.publish(2, thing="quick")
            await becomes(refunds.effects, [2])
        await becomes(refunds.effects, [2, 1])
        await becomes(orders.outbox, 0)


@pytest.mark.parametrize("closing_fails", [0, 3])
async def test_unconfirmed_events_stay_in_the_outbox(toys: Toys, closing_fails: int) -> None:
    """When publishing fails, the rows stay and are published in their order once it succeeds, also when the broken
    connection cannot be closed."""
    orders, refunds = await toys.orders(), await toys.refunds()
    orders.relay._bus = Unreliable(orders.bus, refuse=3, fail_closing=closing_fails)
    await orders.publish(*range(300))
    async with running(orders.relay.run(), refunds.consumer.run()):
        await becomes(refunds.effects, list(range(300)))
        await becomes(orders.outbox, 0)


async def test_a_lost_confirm_leads_to_a_second_copy_and_no_second_effect(toys: Toys) -> None:
    """A publish that failed may have arrived: it is repeated with the same event id, and handled once."""
    orders, refunds = await toys.orders(), await toys.refunds()
    orders.relay._bus = bus = Unreliable(orders.bus, lose_confirms=2)
    await orders.publish(1, 2, 3)
    async with running(orders.relay.run(), refunds.consumer.run()):
        await becomes(orders.outbox, 0)
        await orders.publish(4)
        await becomes(refunds.effects, [1, 2, 3, 4])
    assert bus.published[:3] == bus.published[3:6] == bus.published[6:9]


async def test_an_event_without_its_consumer_waits(toys: Toys) -> None:
    """Until each consumer's queue exists, the event stays in the outbox, and the publisher is not ready."""
    orders = await toys.orders()
    await orders.publish(1)
    async with running(orders.relay.run()):
        assert not orders.relay.connected
        refunds = await toys.refunds()
        async with refunds.consuming():
            await becomes(refunds.effects, [1])
            assert orders.relay.connected


async def test_an_unroutable_event_delays_its_own_subject_only(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events no queue takes, all others are published once, on one connection, except the later ones of
    the same subject. Unroutable events are counted, stay in the outbox, and follow in order when there is a queue."""
    monkeypatch.setattr(relay, "BATCH", 4)
    counted = OUTBOX_UNROUTABLE.labels("orders")._value
    before = counted.get()
    orders, refunds = await toys.orders(), await toys.refunds()
    orders.relay._bus = bus = Unreliable(orders.bus)
    await orders.publish(0, thing="b")
    async with orders.uow.begin() as tx:
        tx.publish(*(ForChat(thing=f"only {number}") for number in range(10)))
        tx.publish(Counted(thing="a", number=1), ForChat(thing="a"))
        tx.publish(*(Counted(thing="a", number=number) for number in range(4, 10)), Counted(thing="b", number=2))
    async with running(orders.relay.run(), refunds.consumer.run()):
        await becomes(refunds.effects, [0, 1, 2])
        await orders.publish(10, thing="a")
        await orders.publish(3, thing="b")
        await becomes(refunds.effects, [0, 1, 2, 3])
        seen = [message for message in bus.published if message.routing_key == "orders.Counted"]
        assert len(seen) == len({message.body for message in seen}) == 4
        await becomes(orders.outbox, 18)
        assert counted.get() > before
        chat = await chat_of(toys)
        async with chat.consuming():
            await becomes(refunds.effects, [0, 1, 2, 3, *range(4, 11)])
            await becomes(orders.outbox, 0)
    assert bus.opened == 1


async def test_finding_what_can_leave_does_not_slow_down_with_what_cannot(embedded_toys: Toys) -> None:
    """Behind 20,000 events that no queue takes, another one leaves within seconds."""
    orders, refunds = await embedded_toys.orders(), await embedded_toys.refunds()
    async with orders.uow.begin() as tx:
        tx.publish(ForChat(thing="0"))
    columns = (
        "event_id, type, dataschema, routing_key, mandatory, correlation_id, causation_id, traceparent, data, time"
    )
    await orders.fetch(
        f"insert into outbox (subject, sequence, {columns}) select n::text, n, {columns} "  # noqa: S608
        "from outbox, generate_series(1, 20000) n"
    )
    await orders.publish(1)
    async with running(orders.relay.run(), refunds.consumer.run()):
        await becomes(refunds.effects, [1])


async def test_a_key_that_loses_its_queue_delays_what_it_has_to(toys: Toys) -> None:
    """Of events that were routable a moment ago, those behind one that no queue takes any more wait for it, too."""
    orders, refunds = await toys.orders(), await toys.refunds()
    chat = await chat_of(toys)
    orders.relay._bus = bus = Unreliable(orders.bus)
    async with chat.consuming(), running(orders.relay.run(), refunds.consumer.run()):
        async with orders.uow.begin() as tx:
            tx.publish(ForChat(thing="a"), Counted(thing="a", number=1))
        await becomes(refunds.effects, [1])
        bus.unrouted = {"orders.ForChat"}
        async with orders.uow.begin() as tx:
            tx.publish(
                ForChat(thing="a"), Counted(thing="a", number=2), ForChat(thing="a"), Counted(thing="b", number=3)
            )
        await becomes(refunds.effects, [1, 3])
        bus.unrouted = set()
        await becomes(refunds.effects, [1, 3, 2])
        await becomes(orders.outbox, 0)


async def test_a_paused_service_delays_no_other_service(toys: Toys) -> None:
    """Messages that one service leaves in its queue delay neither other events nor other services; the embedded
    outbox keeps it, published though it is, until it is handled."""
    orders, refunds = await toys.orders(), await toys.refunds()
    chat = await chat_of(toys)
    in_memory = isinstance(orders.bus, MemoryBus)
    async with refunds.consuming():
        await becomes(refunds.is_consuming, True)
    async with chat.consuming(), running(orders.relay.run()):
        for number in range(3):
            await orders.publish(number)
            async with orders.uow.begin() as tx:
                tx.publish(ForChat(thing=str(number)))
            await becomes(chat.effects, list(range(number + 1)))
        await becomes(orders.outbox, 3 if in_memory else 0)
        assert await orders.call(outbox.waiting, orders.relay.held) == (0, 0.0)
        async with refunds.consuming():
            await becomes(refunds.effects, [0, 1, 2])
            await becomes(orders.outbox, 0)


async def test_an_embedded_process_that_dies_loses_nothing(embedded_toys: Toys) -> None:
    """Messages in the queues in memory are published again by the next process, and have their effect once."""
    orders, refunds = await embedded_toys.orders(), await embedded_toys.refunds()
    async with refunds.consuming(), running(orders.relay.run()):
        await orders.publish(1)
        await becomes(refunds.effects, [1])
    async with running(orders.relay.run()):
        await orders.publish(2, 3)

        async def published() -> int:
            return len(orders.relay.held)

        await becomes(published, 2)
    bus = MemoryBus()
    again = Relay("orders", orders.database, bus, ["refunds"])
    refunds.consumer._bus = bus
    async with running(again.run(), refunds.consumer.run()):
        await becomes(refunds.effects, [1, 2, 3])
        await becomes(orders.outbox, 0)


async def test_an_event_of_its_own_holds_nothing_up(toys: Toys) -> None:
    """An event with its publisher as only consumer has no queue: it leaves the outbox, as do the events behind it."""
    orders, refunds = await toys.orders(), await toys.refunds()
    async with orders.uow.begin() as tx:
        tx.publish(Remembered(thing="a"), Counted(thing="a", number=1))
    async with running(orders.relay.run(), refunds.consumer.run()):
        await becomes(refunds.effects, [1])


async def test_an_event_that_no_consumer_could_read_is_refused(toys: Toys) -> None:
    """An event near the size above which bodies are not read fails its own transaction."""
    orders = await toys.orders()
    with pytest.raises(outbox.EventTooLarge):
        async with orders.uow.begin() as tx:
            tx.publish(Counted(thing="a", number=1, note="ö" * 128 * 1024))
    assert await orders.outbox() == 0
