"""What one socket is sent, with no network and no database: the next message, and nothing else."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from runtime import backoff
from runtime.http.auth import Identity
from runtime.live import sockets
from runtime.live.conversations import RING, RINGS, Recent
from runtime.live.sockets import MAX_FRAMES, QUEUE, SLOW, Socket
from runtime.storage.database import DatabaseUnavailable

THREAD = uuid4()


class Wire:
    """Stands in for the connection."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.open = asyncio.Event()
        self.open.set()
        self.code: int | None = None
        self.scope: dict[str, Any] = {"extensions": {sockets.ABORT: self.abort}}
        self.aborted = False

    async def send_text(self, text: str) -> None:
        """Waits as long as the client takes nothing."""
        await self.open.wait()
        self.sent.append(json.loads(text))

    async def close(self, code: int, reason: str) -> None:
        """As sending."""
        await self.open.wait()
        self.code = code

    def abort(self) -> None:
        """Ends it at once."""
        self.aborted = True


class Shelf:
    """Stands in for the database: a growing history of one conversation, away at times."""

    def __init__(self) -> None:
        self.head = 0
        self.faults = 0

    async def after(self, conversation: UUID, seq: int) -> Sequence[tuple[int, str]]:
        """A few messages."""
        await asyncio.sleep(0)
        if self.faults:
            self.faults -= 1
            raise DatabaseUnavailable("away")
        return [(n, str(n)) for n in range(seq + 1, min(self.head, seq + 7) + 1)]

    async def start(self, conversation: UUID, since: datetime) -> int:
        """What was there before."""
        return 3


@asynccontextmanager
async def connected(shelf: Shelf, wire: Wire, *, cursor: int | None = 0) -> AsyncIterator[Socket]:
    """A socket at work."""
    socket = Socket(wire, Identity(uuid4(), "buyer", "app"), shelf)  # type: ignore[arg-type]
    socket.since = datetime.now(UTC)
    if cursor is not None:
        socket.cursors[THREAD] = cursor
    socket.start()
    socket.release()
    yield socket
    await socket.finish()


async def until(wire: Wire, last: int) -> None:
    """Waits until that was sent."""
    async with asyncio.timeout(5):
        while last not in wire.sent:
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_hints_come_the_next_message_is_sent(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints that are lost, late, doubled and out of order, and a database that is away at times, change nothing."""
    monkeypatch.setattr(backoff, "SHORTEST", 0.001)
    chance = random.Random(seed)
    shelf, wire = Shelf(), Wire()
    async with connected(shelf, wire) as socket:
        hints: list[int] = []
        for head in range(1, 61):
            shelf.head = head
            hints += [head] * chance.choice([0, 1, 1, 2])
            if chance.random() < 0.02:
                shelf.faults += 1
            if chance.random() < 0.5:
                chance.shuffle(hints)
                for hint in hints[: chance.randint(0, len(hints))]:
                    socket.news(THREAD, hint)
                hints = hints[chance.randint(0, len(hints)) :]
                for _ in range(chance.randint(0, 5)):
                    await asyncio.sleep(0)
        socket.news(THREAD, 60)
        await until(wire, 60)
    assert wire.sent == list(range(1, 61))


async def test_a_conversation_that_was_not_followed_starts_where_it_was() -> None:
    """The first news of a conversation brings what came since the socket was opened."""
    shelf, wire = Shelf(), Wire()
    shelf.head = 5
    async with connected(shelf, wire, cursor=None) as socket:
        socket.news(THREAD, 5)
        await until(wire, 5)
    assert wire.sent == [4, 5]


async def test_a_reader_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """When so many frames come in while one is being sent, the socket is closed; ended, if even that is not taken."""
    monkeypatch.setattr(sockets, "CLOSING", 0.01)
    shelf, wire = Shelf(), Wire()
    wire.open.clear()
    async with connected(shelf, wire) as socket:
        socket.show("1")
        await asyncio.sleep(0)
        for head in range(1, QUEUE + 1):
            socket.news(THREAD, head)
        assert socket.code is None
        socket.news(THREAD, QUEUE + 1)
        assert socket.code == SLOW
        async with asyncio.timeout(5):
            while not wire.aborted:
                await asyncio.sleep(0.001)
    assert wire.sent == []


async def test_a_crowd_that_is_online_drops_nobody() -> None:
    """Hundreds of frames at once, as when somebody with many threads connects, are no fault of the client."""
    shelf, wire = Shelf(), Wire()
    async with connected(shelf, wire) as socket:
        for n in range(MAX_FRAMES):
            socket.show(str(n))
        await until(wire, MAX_FRAMES - 1)
        assert socket.code is None
    assert wire.sent == list(range(MAX_FRAMES))


async def test_going_back_and_forth() -> None:
    """A client may say at any time what it has; from there on it gets everything once."""
    shelf, wire = Shelf(), Wire()
    shelf.head = 20
    async with connected(shelf, wire, cursor=18) as socket:
        socket.news(THREAD, 20)
        await until(wire, 20)
        socket.resume(THREAD, 5, 20)
        await asyncio.sleep(0)
        socket.resume(THREAD, 15, 20)
        async with asyncio.timeout(5):
            while wire.sent[-1] != 20 or len(wire.sent) == 2:
                await asyncio.sleep(0)
        shelf.head = 21
        socket.news(THREAD, 21)
        await until(wire, 21)
    assert wire.sent[-6:] == [16, 17, 18, 19, 20, 21]


def test_the_last_messages_are_kept() -> None:
    """The ring gives what it has from a place on, nothing if it lacks the next one, and does not grow."""
    recent = Recent()
    for seq in range(5, 9):
        recent.keep(THREAD, seq, str(seq))
    assert [seq for seq, _ in recent.after(THREAD, 5)] == [6, 7, 8]
    assert recent.after(THREAD, 8) == recent.after(THREAD, 3) == recent.after(uuid4(), 0) == []
    recent.keep(THREAD, 7, "again")
    assert recent.after(THREAD, 6)[0] == (7, "7")
    recent.keep(THREAD, 11, "11")  # 9 and 10 were missed: what stood before them is of no use
    assert recent.after(THREAD, 7) == []
    assert recent.after(THREAD, 10) == [(11, "11")]
    for seq in range(12, 12 + 2 * RING):
        recent.keep(THREAD, seq, "")
    assert len(recent.after(THREAD, 11 + RING)) == RING
    assert recent.after(THREAD, 11) == []
    for _ in range(RINGS):
        recent.keep(uuid4(), 1, "")
    assert recent.after(THREAD, 11 + RING) == []
