"""Events of one subject are counted, published and handled in one order."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from runtime.messaging.bus import Message
from runtime.messaging.consumer import BatchHandler
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from tests.harness.waiting import becomes
from tests.messaging.buses import Unreliable
from tests.messaging.toys import Counted, Toys, message, running, write_down


async def write_down_sequence(tx: Transaction, event: Counted) -> Sequence[Event]:
    """Writes down the event's number among those of its subject."""
    return await write_down(tx, Counted(thing=event.thing, number=tx.sequence))


async def test_order_is_kept_under_concurrent_writers(toys: Toys) -> None:
    """Two replicas write events of the same subjects at once: each subject is counted 1, 2, 3, … and handled so."""
    first, refunds = await toys.orders(), await toys.refunds(write_down_sequence)
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
    handled = await refunds.fetch("select array_agg(number order by place) from effects group by thing")
    assert len(handled) == len(things)
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in handled)


async def test_two_consuming_replicas_keep_the_order(toys: Toys) -> None:
    """Of two replicas at one queue one handles all events, in order; when it stops, the other continues in order."""

    async def dawdle(tx: Transaction, event: Counted) -> Sequence[Event]:
        if event.number % 5 == 0:
            await asyncio.sleep(0.01)
        return await write_down_sequence(tx, event)

    orders, first = await toys.orders(), await toys.refunds(dawdle)
    second = await toys.on(first.url, "refunds", {Counted: dawdle})
    async with running(orders.relay.run()), AsyncExitStack() as stack:
        await stack.enter_async_context(first.consuming())
        async with second.consuming():
            for number in range(60):
                await orders.publish(number)
            await stack.aclose()
            await orders.publish(*range(60, 120))
            await becomes(first.count("effects"), 120)
    assert await first.effects() == list(range(1, 121))


class Other(Event, name="Other", version=1, subject="thing", published_by=("orders",), consumed_by=("refunds",)):
    """Something else was counted."""

    thing: str
    number: int
    note: str


async def test_a_batch_locks_before_it_handles(embedded_toys: Toys) -> None:
    """A batch handler's `acquire_locks` gets all events of its type in the batch, before any is handled."""
    steps: list[tuple[str, int]] = []

    async def acquire_locks(tx: Transaction, same_type: Sequence[Envelope[Counted]]) -> None:
        steps.extend(("locked", envelope.data.number) for envelope in same_type)

    async def handle(tx: Transaction, same_type: Sequence[Envelope[Counted]]) -> None:
        steps.extend(("handled", envelope.data.number) for envelope in same_type)

    async def consume(tx: Transaction, other: Other) -> Sequence[Event]:
        steps.append(("other", other.number))
        return []

    url = await embedded_toys.database("refunds")
    refunds = await embedded_toys.on(url, "refunds", {Counted: BatchHandler(handle, acquire_locks), Other: consume})
    other = message(2, type="Other", dataschema=Other.dataschema())
    async with refunds.consuming():
        await embedded_toys.send(message(1), Message("orders.Other", other.body), message(3))
        await becomes(refunds.count("inbox"), 3)
    assert steps == [("locked", 1), ("locked", 3), ("handled", 1), ("other", 2), ("handled", 3)]
