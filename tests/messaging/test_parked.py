"""Parked messages are listed, shown and replayed."""

import asyncio
from collections.abc import Sequence

import pytest
from typer.testing import CliRunner

from batalkan.cli import app
from batalkan.cli_options import console
from runtime.backoff import Backoff
from runtime.messaging import parked
from runtime.messaging import replay as replaying
from runtime.messaging.bus import Delivery, Message
from runtime.messaging.consumer import BatchHandler
from runtime.messaging.envelope import MAX_BODY, Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services import SERVICES
from tests.harness.waiting import becomes
from tests.messaging.toys import Counted, HeldHandler, Toy, Toys, message, running, write_down


class Mendable:
    """A handler that fails until it is mended."""

    def __init__(self) -> None:
        self.mended = False

    async def __call__(self, tx: Transaction, event: Counted) -> Sequence[Event]:
        """Writes the event down, if it can."""
        if not self.mended:
            raise ValueError("not\0 yet")
        return await write_down(tx, event)


async def park(toy: Toy, toys: Toys, *messages: Message) -> None:
    """Has these messages parked."""
    async with toy.consuming():
        await toys.send(*messages)
        await becomes(toy.count("parked"), len(messages))


async def replay(toy: Toy) -> list[str]:
    """Asks for a replay of everything, and returns the states afterwards."""
    await toy.call(parked.ask_for_replay, None)
    while await toy.replays.replay_one(Backoff("the database", replaying.log)):
        pass
    return [one.state for one in await toy.parked()]


async def test_a_mended_message_is_replayed_once(embedded_toys: Toys) -> None:
    """A parked event is listed, shown with its body, and replayed after the repair, with the events that follow."""
    refunds = await embedded_toys.refunds(handler := Mendable())
    sent = message(1)
    await park(refunds, embedded_toys, sent, message(2))
    first, _ = await refunds.parked()
    shown = await refunds.call(parked.show, first.parked_id)
    assert shown is not None
    assert (shown.body, shown.routing_key, shown.size) == (sent.body, "orders.Counted", len(sent.body))
    assert "not\\x00 yet" in shown.error
    handler.mended = True
    assert await replay(refunds) == ["replayed", "replayed"]
    assert await refunds.effects() == [1, 2]
    assert await refunds.outbox() == 2
    assert await refunds.call(parked.ask_for_replay, None) == 0


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        *(("[/x]",) * 2, ("[type=x]",) * 2, (":smile:",) * 2),
        ("\x1b[2J\x1b]52;c;eA==\x07", r"\x1b[2J\x1b]52;c;eA==\x07"),
        ("\u202egnp.\x9b31m\x7f\r", r"\u202egnp.\x9b31m\x7f\r"),
    ],
)
async def test_the_command_prints_a_bad_message_as_it_is(
    embedded_toys: Toys, text: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text of a message or of its error that looks like markup of a terminal, or could command it, is text."""
    monkeypatch.setattr(console, "width", 300)
    refunds = await embedded_toys.refunds()
    await refunds.call(parked.park, None, Delivery(1, f"key{text}", text.encode(), 0), f"error{text}")
    (kept,) = await refunds.parked()
    env = {f"{name.upper()}_DATABASE_URL": refunds.url for name in SERVICES}
    for command in (["list"], ["show", str(kept.parked_id)]):
        call = ["parked", *command]
        said = await asyncio.to_thread(CliRunner().invoke, app, call, env=env, catch_exceptions=False)
        assert said.exit_code == 0
        assert f"key{printed}" in said.output
        assert f"error{printed}" in said.output


async def test_an_unreadable_message_is_known_by_its_event(embedded_toys: Toys) -> None:
    """The id of an event is kept, if there is one, although the message cannot be read."""
    refunds = await embedded_toys.refunds()
    event_id = new_id()
    await park(refunds, embedded_toys, message(1, id=str(event_id), data={}), message(2, id="none"))
    assert [one.event_id for one in await refunds.parked()] == [event_id, None]


async def test_a_replay_locks_before_it_handles(embedded_toys: Toys) -> None:
    """A replay takes the locks of a batch handler before it handles, so that the lock order holds."""
    handler, locked = Mendable(), list[int]()

    async def acquire_locks(tx: Transaction, envelopes: Sequence[Envelope[Counted]]) -> None:
        locked.extend(one.data.number for one in envelopes if handler.mended)

    async def handle(tx: Transaction, envelopes: Sequence[Envelope[Counted]]) -> None:
        for one in envelopes:
            await handler(tx, one.data)

    url = await embedded_toys.database("refunds")
    refunds = await embedded_toys.on(url, "refunds", {Counted: BatchHandler(handle, acquire_locks)})
    await park(refunds, embedded_toys, message(7))
    handler.mended = True
    assert await replay(refunds) == ["replayed"]
    assert locked == await refunds.effects() == [7]


async def test_one_of_several_is_replayed(embedded_toys: Toys) -> None:
    """A replay handles only the selected messages."""
    refunds = await embedded_toys.refunds(handler := Mendable())
    await park(refunds, embedded_toys, message(1), message(2))
    handler.mended = True
    _, second = await refunds.parked()
    assert await refunds.call(parked.ask_for_replay, [second.parked_id]) == 1
    async with running(refunds.replays.run()):
        await becomes(refunds.effects, [2])


async def test_a_replay_that_fails_is_put_back_with_its_error(embedded_toys: Toys) -> None:
    """A message that fails again in a replay is parked again, with the new error."""
    refunds = await embedded_toys.refunds(Mendable())
    await park(refunds, embedded_toys, message(1), message(2, type="Unknown"))
    assert await replay(refunds) == ["parked", "parked"]
    errors = {one.error for one in await refunds.parked()}
    assert errors == {"failed with ValueError('not\\x00 yet')", "of an unknown type: 'Unknown'"}


@pytest.mark.parametrize("replayed_first", [True, False])
async def test_a_parked_event_and_its_copy_have_one_effect(embedded_toys: Toys, replayed_first: bool) -> None:
    """A replay counts as handling: of a replay and the same event, delivered again, the later has no effect."""
    refunds = await embedded_toys.refunds(handler := Mendable())
    sent = message(1)
    await park(refunds, embedded_toys, sent)
    handler.mended = True
    if replayed_first:
        assert await replay(refunds) == ["replayed"]
    async with refunds.consuming():
        await embedded_toys.send(sent, message(2))
        await becomes(refunds.effects, [1, 2])
    assert await replay(refunds) == ["replayed"]
    assert await refunds.effects() == [1, 2]


async def test_the_same_bad_message_is_kept_once(embedded_toys: Toys) -> None:
    """However often it arrives, also while its replay is asked for, one row counts how often."""
    refunds = await embedded_toys.refunds()
    bad = message(0, type="Unknown")
    async with refunds.consuming():
        await embedded_toys.send(bad, bad, message(1))
        await becomes(refunds.effects, [1])
        assert await refunds.call(parked.ask_for_replay, None) == 1
        await embedded_toys.send(bad, message(2))
        await becomes(refunds.effects, [1, 2])
    assert await refunds.fetch("select times from parked") == [3]
    assert await replay(refunds) == ["parked"]


async def test_a_replay_that_crashes_the_process_is_not_repeated(embedded_toys: Toys) -> None:
    """A message that is being replayed when the process dies lies parked afterwards, and is not tried again."""
    refunds = await embedded_toys.refunds(Mendable())
    await park(refunds, embedded_toys, message(1))
    dying = await embedded_toys.on(refunds.url, "refunds", {Counted: (held := HeldHandler())})
    await refunds.call(parked.ask_for_replay, None)
    async with running(dying.replays.run()):
        await held.reached.wait()
    assert [one.state for one in await refunds.parked()] == ["parked"]
    assert not await refunds.replays.replay_one(Backoff("nothing", replaying.log))


async def test_a_message_is_discarded_or_has_its_effect(embedded_toys: Toys) -> None:
    """A message cannot be discarded while it is replayed; one that was discarded just before has no effect."""
    refunds = await embedded_toys.refunds(Mendable())
    await park(refunds, embedded_toys, message(1), message(2))
    first, second = await refunds.parked()
    mended = await embedded_toys.on(refunds.url, "refunds", {Counted: (held := HeldHandler())})
    await refunds.call(parked.ask_for_replay, [first.parked_id])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(mended.replays.replay_one(Backoff("PostgreSQL", replaying.log)))
        await held.reached.wait()
        late = tasks.create_task(refunds.call(parked.discard, [first.parked_id], new_id(), "late"))
        await asyncio.sleep(0.1)
        assert not late.done()
        held.released.set()
    assert late.result() == 0
    await refunds.call(parked.ask_for_replay, [second.parked_id])
    async with mended.database.connection() as connection:
        row = await connection.fetchrow(replaying._NEXT_REPLAY)
    assert row is not None
    assert await refunds.call(parked.discard, [second.parked_id], new_id(), "in time") == 1
    await mended.replays._replay(row)
    assert [one.state for one in await refunds.parked()] == ["replayed", "discarded"]
    assert await refunds.effects() == [1]


@pytest.mark.parametrize("padding", [b" ", b"x"])
async def test_a_truncated_message_is_not_replayed(embedded_toys: Toys, padding: bytes) -> None:
    """Of a message that was too large only the beginning is kept; it is not handled, even if that can be read."""
    refunds = await embedded_toys.refunds()
    whole = message(1)
    large = Message(whole.routing_key, whole.body + padding * MAX_BODY)
    await park(refunds, embedded_toys, large)
    assert await replay(refunds) == ["parked"]
    (kept,) = await refunds.parked()
    assert kept.size == len(large.body)
    assert "too large" in kept.error
    assert await refunds.effects() == []
