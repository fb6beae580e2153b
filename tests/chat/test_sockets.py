"""What one socket is sent, with no network: every frame, once, in the order in which they came."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from runtime.http.auth import Identity
from runtime.live import sockets
from runtime.live.sockets import MAX_FRAMES, QUEUE, SLOW, Socket


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


@asynccontextmanager
async def connected(wire: Wire) -> AsyncIterator[Socket]:
    """A socket at work."""
    socket = Socket(wire, Identity(uuid4(), "buyer", "app"))  # type: ignore[arg-type]
    socket.start()
    yield socket
    await socket.finish()


async def until(wire: Wire, last: int) -> None:
    """Waits until that was sent."""
    async with asyncio.timeout(5):
        while last not in wire.sent:
            await asyncio.sleep(0)


async def test_frames_are_sent_in_their_order() -> None:
    """Frames that come while the client takes none wait, and are sent once, in order."""
    wire = Wire()
    async with connected(wire) as socket:
        for n in range(25):
            wire.open.clear() if n % 5 else wire.open.set()
            socket.send(str(n))
            await asyncio.sleep(0)
        wire.open.set()
        await until(wire, 24)
    assert wire.sent == list(range(25))


async def test_a_reader_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """When so many frames come in while one is being sent, the socket is closed; ended, if even that is not taken."""
    monkeypatch.setattr(sockets, "CLOSING", 0.01)
    wire = Wire()
    wire.open.clear()
    async with connected(wire) as socket:
        socket.send("1")
        await asyncio.sleep(0)
        for n in range(QUEUE):
            socket.send(str(n))
        assert socket.code is None
        socket.send("1")
        assert socket.code == SLOW
        async with asyncio.timeout(5):
            while not wire.aborted:
                await asyncio.sleep(0.001)
    assert wire.sent == []


async def test_many_frames_at_once_are_all_sent() -> None:
    """Hundreds of frames at once, as when an account with many threads connects, do not drop the client."""
    wire = Wire()
    async with connected(wire) as socket:
        for n in range(MAX_FRAMES):
            socket.send(str(n))
        await until(wire, MAX_FRAMES - 1)
        assert socket.code is None
    assert wire.sent == list(range(MAX_FRAMES))
