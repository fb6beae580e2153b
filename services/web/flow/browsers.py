"""The browsers that show the flow page. A slow browser misses frames; their numbers tell it how many."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from runtime.errors import Unavailable

MAX_BROWSERS = 50
MAX_WAITING = 20
"""Frames that may wait for one browser."""


class TooManyBrowsers(Unavailable):
    """The maximum of browsers is connected."""

    code, title = "too_many_browsers", "Too many browsers show the flow page"


class Browsers:
    """The connected browsers."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str]] = set()

    def __len__(self) -> int:
        return len(self._queues)

    def send(self, frame: str) -> None:
        """Sends the frame to all browsers without waiting for any."""
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(frame)

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[str]]:
        """All frames from now on, or the latest of them. Raises `TooManyBrowsers` at once."""
        if len(self._queues) >= MAX_BROWSERS:
            raise TooManyBrowsers
        queue: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._queues.add(queue)
        try:
            yield _frames(queue)
        finally:
            self._queues.discard(queue)


async def _frames(queue: asyncio.Queue[str]) -> AsyncIterator[str]:
    while True:
        yield await queue.get()
