"""Browsers that look on. Who is too slow misses frames, and sees from their numbers how many."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import ClassVar

from runtime.errors import Problem

MAX_BROWSERS = 50
MAX_WAITING = 20
"""Frames that may wait for one browser."""


class TooManyBrowsers(Problem):
    """Nobody else can look on now."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "too_many_browsers"
    title: ClassVar[str] = "Too many browsers look on"


class Audience:
    """Everybody who looks on."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str]] = set()

    def __len__(self) -> int:
        return len(self._queues)

    def show(self, frame: str) -> None:
        """Shows the frame to everybody, without waiting for anybody."""
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(frame)

    @contextmanager
    def place(self) -> Iterator[AsyncIterator[str]]:
        """A place, taken at once; in it all frames from now on are seen, or the latest of them. Raises
        `TooManyBrowsers`."""
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
