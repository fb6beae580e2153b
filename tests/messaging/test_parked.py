"""Parked messages are listed, shown and replayed."""

import asyncio
from collections.abc import Sequence

import pytest

from runtime.backoff import Backoff
from runtime.messaging import parked
from runtime.messaging import replay as replaying
from runtime.messaging.consumer import BatchHandler
from runtime.messaging.envelope import MAX_BODY, Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from tests.harness.waiting import becomes
from tests.messaging.toys import Counted, Toy, Toys, message, running, write_down


class Mendable:
    """A handler that fails until it is mended."""

    def __init__(self) -> None:
        self.mended = False

    async def __call__(self, tx: Transaction, event: Counted) -> Sequence[Event]:
        """Writes the event down, if it can."""
        if not self.mended:
            raise ValueError("not\0 yet")
        return await write_down(tx, event)


async def replay(toy: Toy) -> list[str]:
    """Asks for a replay of everything, and returns the states afterwards."""
    async with toy.database.connection() as connection:
        await parked.ask_for_replay(connection, None)
    while await toy.replays.replay_one(Backoff("the database", replaying.log)):
        pass
    return [one.state for one in await toy.parked()]


async def test_a_mended_message_is_replayed_once(embedded_toys: Toys) -> None:
    """A parked event is listed, shown with its body, and replayed after the repair, with the events that follow."""
    handler = Mendable()
    refunds = await embedded_toys.refunds(handler)
    sent = message(1)
    async with running(refunds.consumer.run()):
        await embedded_toys.send(sent, message(2))
        await becomes(refunds.count("parked"), 2)
    async with refunds.database.connection() as connection:
        listed = await parked.listing(connection)
        shown = await parked.show(connection, listed[0].parked_id)
    assert shown is not None
    assert (shown.body, shown.routing_key, shown.size) == (sent.body, "orders.Counted", len(sent.body))
    assert "not\\x00 yet" in shown.error
    handler.mended = True
    assert await replay(refunds) == ["replayed", "replayed"]
    assert await refunds.effects() == [1, 2]
    assert await refunds.outbox() == 2
    async with refunds.database.connection() as connection:
        assert await parked.ask_for_replay(connection, None) == 0


async def test_a_replay_locks_first_what_a_batch_locks_first(embedded_toys: Toys) -> None:
    """A replay takes the locks of a batch handler before it handles, so that the lock order holds."""
    handler, prepared = Mendable(), list[int]()

    async def acquire_locks(tx: Transaction, envelopes: Sequence[Envelope[Counted]]) -> None:
        prepared.extend(one.data.number for one in envelopes if handler.mended)

    async def handle(tx: Transaction, envelopes: Sequence[Envelope[Counted]]) -> None:
        for one in envelopes:
            await handler(tx, one.data)

    url = await embedded_toys.database("refunds")
    refunds = await embedded_toys.on(url, "refunds", {Counted: BatchHandler(handle, acquire_locks)})
    async with running(refunds.consumer.run()):
        await embedded_toys.send(message(7))
        await becomes(refunds.count("parked"), 1)
    handler.mended = True
    assert await replay(refunds) == ["replayed"]
    assert prepared == await refunds.effects() == [7]


async def test_one_of_several_is_replayed(embedded_toys: Toys) -> None:
    """A replay handles only the selected messages."""
    handler = Mendable()
    refunds = await embedded_toys.refunds(handler)
    async with running(refunds.consumer.run()):
        await embedded_toys.send(message(1), message(2))
        await becomes(refunds.count("parked"), 2)
    handler.mended = True
    async with refunds.database.connection() as connection:
        listed = await parked.listing(connection)
        assert await parked.ask_for_replay(connection, [listed[1].parked_id]) == 1
    async with running(refunds.replays.run()):
        await becomes(refunds.effects, [2])


async def test_a_replay_that_fails_is_put_back_with_its_error(embedded_toys: Toys) -> None:
    """A message that fails again in a replay is parked again, with the new error."""
    refunds = await embedded_toys.refunds(Mendable())
    async with running(refunds.consumer.run()):
        await embedded_toys.send(message(1), message(2, type="Unknown"))
        await becomes(refunds.count("parked"), 2)
    assert await replay(refunds) == ["parked", "parked"]
    errors = {one.error for one in await refunds.parked()}
    assert errors == {"not\N{REPLACEMENT CHARACTER} yet", "of an unknown type: 'Unknown'"}


async def test_a_replay_of_what_was_handled_meanwhile_does_nothing(embedded_toys: Toys) -> None:
    """When a copy of a parked event had its effect, the replay has none."""
    handler = Mendable()
    refunds = await embedded_toys.refunds(handler)
    sent = message(1)
    async with running(refunds.consumer.run()):
        await embedded_toys.send(sent)
        await becomes(refunds.count("parked"), 1)
        handler.mended = True
        await embedded_toys.send(sent)
        await becomes(refunds.effects, [1])
    assert await replay(refunds) == ["replayed"]
    assert await refunds.effects() == [1]


async def test_a_copy_of_what_was_replayed_does_nothing(embedded_toys: Toys) -> None:
    """A replay counts as handling: the same event, delivered again, has no second effect."""
    handler = Mendable()
    refunds = await embedded_toys.refunds(handler)
    sent = message(1)
    async with running(refunds.consumer.run()):
        await embedded_toys.send(sent)
        await becomes(refunds.count("parked"), 1)
        handler.mended = True
        assert await replay(refunds) == ["replayed"]
        await embedded_toys.send(sent, message(2))
        await becomes(refunds.effects, [1, 2])


async def test_the_same_bad_message_is_kept_once(embedded_toys: Toys) -> None:
    """However often it arrives, also while its replay is asked for, one row counts how often."""
    refunds = await embedded_toys.refunds()
    bad = message(0, type="Unknown")
    async with running(refunds.consumer.run()):
        await embedded_toys.send(bad, bad, message(1))
        await becomes(refunds.effects, [1])
        async with refunds.database.connection() as connection:
            assert await parked.ask_for_replay(connection, None) == 1
        await embedded_toys.send(bad, message(2))
        await becomes(refunds.effects, [1, 2])
    assert await refunds.fetch("select times from parked") == [3]
    assert await replay(refunds) == ["parked"]


async def test_a_replay_that_brings_the_process_down_does_so_once(embedded_toys: Toys) -> None:
    """A message that is being replayed when the process dies lies parked afterwards, and is not tried again."""
    refunds = await embedded_toys.refunds(Mendable())
    async with running(refunds.consumer.run()):
        await embedded_toys.send(message(1))
        await becomes(refunds.count("parked"), 1)
    reached = asyncio.Event()

    async def die(tx: Transaction, event: Counted) -> Sequence[Event]:
        reached.set()
        await asyncio.Event().wait()
        return []

    dying = await embedded_toys.on(refunds.url, "refunds", {Counted: die})
    async with refunds.database.connection() as connection:
        await parked.ask_for_replay(connection, None)
    async with running(dying.replays.run()):
        await reached.wait()
    assert [one.state for one in await refunds.parked()] == ["parked"]
    assert not await refunds.replays.replay_one(Backoff("nothing", replaying.log))


@pytest.mark.parametrize("padding", [b" ", b"x"])
async def test_what_was_not_kept_whole_is_not_replayed(embedded_toys: Toys, padding: bytes) -> None:
    """Of a message that was too large only the beginning is kept; it is not handled, even if that can be read."""
    refunds = await embedded_toys.refunds()
    large = message(1)
    large = type(large)(large.routing_key, large.body + padding * MAX_BODY)
    async with running(refunds.consumer.run()):
        await embedded_toys.send(large)
        await becomes(refunds.count("parked"), 1)
    assert await replay(refunds) == ["parked"]
    (kept,) = await refunds.parked()
    assert kept.size == len(large.body)
    assert "too large" in kept.error
    assert await refunds.effects() == []
