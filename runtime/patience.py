"""Waiting for something that is away: longer each time, with jitter, and saying so without flooding the log."""

import asyncio
import logging
import random

SHORTEST, LONGEST = 0.1, 5.0
"""Seconds between two tries."""


class Patience:
    """Counts the tries to reach one thing. `wait` after each failure, `rewarded` after a success."""

    def __init__(self, thing: str, log: logging.Logger) -> None:
        self._thing = thing
        self._log = log
        self._tries = 0

    async def wait(self, error: BaseException) -> None:
        """Sleeps for 0.1 s doubled with every try, at most 5 s, half of it random.

        Raises `CancelledError` when the task was cancelled and the error only came up on its way out.
        """
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        pause = min(SHORTEST * 2**self._tries, LONGEST) * random.uniform(0.5, 1)  # noqa: S311 (jitter is no secret)
        if self._tries in {0, 3} or self._tries % 10 == 9:
            self._log.warning("waiting for %s: %s", self._thing, error or type(error).__name__)
        self._tries += 1
        await asyncio.sleep(pause)

    def rewarded(self) -> None:
        """The thing is there: starts counting anew."""
        if self._tries:
            self._log.warning("%s is back after %d tries", self._thing, self._tries)
        self._tries = 0
