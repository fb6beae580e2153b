"""Backoff: growing pauses with jitter between tries, logged without flooding the log."""

import asyncio
import logging
import random
from contextlib import suppress
from math import inf

SHORTEST, LONGEST = 0.1, 5.0
"""Seconds between two tries."""


def unevenly(seconds: float) -> float:
    """Up to half less, at random: loops that begin together would stay together, and need a connection each."""
    return seconds * random.uniform(0.5, 1)  # noqa: S311


async def woken(event: asyncio.Event, within: float) -> None:
    """Waits for the event, at most `within` seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()


class Backoff:
    """Counts the failures of one operation. Call `wait` after each failure, and `reset` once the operation itself has
    succeeded: a connection alone is no success."""

    def __init__(self, thing: str, log: logging.Logger, longest: float = inf) -> None:
        """`longest`: seconds between two tries, at most, if less than `LONGEST`."""
        self._thing = thing
        self._log = log
        self._longest = longest
        self._tries = 0

    async def wait(self, error: BaseException) -> None:
        """Sleeps until the next try.

        Raises `CancelledError` when the task was cancelled and the error only came up on its way out.
        """
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        await asyncio.sleep(self.pause(error))

    def pause(self, error: BaseException) -> float:
        """Counts a failure. Returns the seconds until the next try: 0.1 s, doubled with every failure, at most 5 s,
        half of it random."""
        # The exponent is bounded, since after a thousand tries (an hour) no float holds the power.
        longest: float = min(SHORTEST * 2 ** min(self._tries, 16), LONGEST, self._longest)
        if self._tries in {0, 3} or self._tries % 10 == 9:
            self._log.warning("waiting for %s: %s", self._thing, error or type(error).__name__)
        self._tries += 1
        return longest * random.uniform(0.5, 1)  # noqa: S311 (jitter is no secret)

    def reset(self) -> None:
        """The operation has succeeded: starts again at zero."""
        if self._tries:
            self._log.warning("%s is back after %d tries", self._thing, self._tries)
        self._tries = 0
