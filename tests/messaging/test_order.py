"""Events of one subject are counted, published and handled in one order."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.toys import Counted, Toys, running


async def note_the_sequence(tx: Transaction, event: Counted) -> Sequence[Event]:
    """Writes down where among the events of its subject the event stands."""
    assert tx.envelope is not None
    await tx.connection.execute(
        "insert into effects (thing, number, note) values ($1, $2, $3)", event.thing, tx.envelope.sequence, event.note
    )
    return []


async def test_order_is_kept_under_concurrent_writers(toys: Toys) -> None:
    """Two replicas write events of the same subjects at once: each subject is counted 1, 2, 3, … and handled so."""
    first, refunds = await toys.orders(), await toys.refunds(note_the_sequence)
    second = await toys.on(first.url, "orders", {})
    things = ["a", "b", "c"]

    async def write(writer: int) -> None:
        for n in range(10):
            async with (first if writer % 2 else second).uow.begin() as tx:
                turned = things[n % 3 :] + things[: n % 3]
                tx.publish(*(Counted(thing=thing, number=n) for thing in (*turned, turned[0])))

    first.relay._bus = second.relay._bus = bus = Unreliable(first.bus)
    async with running(first.relay.run(), second.relay.run(), refunds.consumer.run()):
        bus.lose_confirms = 2  # meanwhile, batches are repeated and change hands
        await asyncio.gather(*map(write, range(8)))
        await becomes(refunds.count("effects"), 8 * 10 * 4)
    handled = defaultdict(list)
    for thing, sequence in zip(
        await refunds.fetch("select thing from effects order by place"), await refunds.effects(), strict=True
    ):
        handled[thing].append(sequence)
    assert {thing: sequences == list(range(1, len(sequences) + 1)) for thing, sequences in handled.items()} == {
        "a": True,
        "b": True,
        "c": True,
    }


async def test_two_consuming_replicas_keep_the_order(toys: Toys) -> None:
    """With two replicas at one queue, events of one subject are still handled one after the other, in order."""

    async def the_first_takes_its_time(tx: Transaction, event: Counted) -> Sequence[Event]:
        if event.number % 5 == 0:
            await asyncio.sleep(0.01)
        return await note_the_sequence(tx, event)

    orders, first = await toys.orders(), await toys.refunds(the_first_takes_its_time)
    second = await toys.on(first.url, "refunds", {Counted: the_first_takes_its_time})
    async with running(orders.relay.run(), first.consumer.run(), second.consumer.run()):
        for number in range(60):
            await orders.say(number)
        await becomes(first.count("effects"), 60)
    assert await first.effects() == list(range(1, 61))


async def test_a_replica_that_stops_hands_over_in_order(toys: Toys) -> None:
    """When the consuming replica stops, the next one continues in order."""
    orders, first = await toys.orders(), await toys.refunds(note_the_sequence)
    second = await toys.on(first.url, "refunds", {Counted: note_the_sequence})
    await orders.say(*range(300))
    async with running(orders.relay.run(), second.consumer.run()):
        async with running(first.consumer.run()):
            await becomes(first.is_consuming, True)
        await becomes(first.count("effects"), 300)
    assert await first.effects() == list(range(1, 301))
