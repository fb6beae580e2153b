"""Whether events may still be on their way that tell of something from within the 24 hours."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from time import monotonic


class Flight:
    """What this process knows of the events that reach it. `grace` is the time, in real seconds, that an event takes
    at the most from its publisher's commit to here while nothing is broken."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._slice = max(grace / 4, 0.001)
        self._since: float | None = None
        self._oldest: dict[int, datetime] = {}
        """For each slice of the last `grace`, the time of the oldest event that arrived in it."""

    def heard(self, at: datetime) -> None:
        """An event that was published at `at` has arrived."""
        now = int(monotonic() / self._slice)
        if now not in self._oldest:
            self._oldest = {then: time for then, time in self._oldest.items() if then >= now - 5}
        self._oldest[now] = min(at, self._oldest.get(now, at))

    def may_carry(self, before: datetime) -> bool:
        """Whether an event from before that time may still arrive: because the broker was not there the whole last
        `grace`, or because such events are arriving still."""
        now = monotonic()
        if self._since is None or now - self._since < self._grace:
            return True
        recent = int((now - self._grace) / self._slice)
        return any(time < before for then, time in self._oldest.items() if then >= recent)

    async def watch(self, connected: Callable[[], Awaitable[bool]]) -> None:
        """Keeps an eye on the connection to the broker, until it is cancelled."""
        while True:
            if not await connected():
                self._since = None
            elif self._since is None:
                self._since = monotonic()
            await asyncio.sleep(max(0.01, min(0.25, self._grace / 4)))
