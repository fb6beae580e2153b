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
        self._since: float | None = None
        self._oldest: dict[int, datetime] = {}

    def heard(self, at: datetime) -> None:
        """An event that was published at `at` has arrived."""
        second = int(monotonic())
        if second not in self._oldest:
            self._oldest = {then: time for then, time in self._oldest.items() if then >= second - self._grace - 1}
        self._oldest[second] = min(at, self._oldest.get(second, at))

    def may_carry(self, before: datetime) -> bool:
        """Whether an event from before that time may still arrive: because the broker was not there the whole last
        `grace`, or because such events are arriving still."""
        now = monotonic()
        if self._since is None or now - self._since < self._grace:
            return True
        return any(time < before for then, time in self._oldest.items() if then >= int(now - self._grace))

    async def watch(self, connected: Callable[[], Awaitable[bool]]) -> None:
        """Keeps an eye on the connection to the broker, until it is cancelled."""
        while True:
            if not await connected():
                self._since = None
            elif self._since is None:
                self._since = monotonic()
            await asyncio.sleep(max(0.01, min(0.25, self._grace / 4)))
