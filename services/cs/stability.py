"""Whether events can arrive: while the broker is away, some from within the 24 hours may be waiting there."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic


class BrokerStability:
    """Keeps an eye on the connection to the broker. `grace` is the time, in real seconds, in which an event gets from
    its publisher's commit to here while nothing is broken."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._since: float | None = None

    @property
    def is_steady(self) -> bool:
        """Whether the broker was there the whole last `grace`."""
        return self._since is not None and monotonic() - self._since >= self._grace

    async def watch(self, connected: Callable[[], Awaitable[bool]]) -> None:
        """Looks until it is cancelled."""
        while True:
            if not await connected():
                self._since = None
            elif self._since is None:
                self._since = monotonic()
            await asyncio.sleep(max(0.01, min(0.25, self._grace / 4)))
