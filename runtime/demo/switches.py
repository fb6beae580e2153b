"""Switches that break a service on purpose. Redis keeps them for all replicas. They reset after ten minutes."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from runtime.backoff import Backoff
from runtime.messaging.bus import BusError
from runtime.storage.redis import reached

POLL = 1.0
"""Seconds until every replica has read them."""
RESET_AFTER = 600
"""Seconds after which the switches reset."""
SWITCH_TIMEOUT = 15.0
"""Seconds that a connection waits for a switch before it fails: less than PostgreSQL leaves the relay's connection
idle."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Switches:
    """The state of the switches; true is normal."""

    connected: bool = True
    """Whether the broker can be reached."""
    consuming: bool = True
    """Whether the service takes messages from its queue."""
    handling: bool = True
    """Whether handlers work; else they fail, and their events are parked."""
    once: bool = True
    """Whether a message is delivered once; else again after its commit, and only then acknowledged."""
    acknowledging: bool = True
    """Whether the consumer lives until it acknowledges; else it loses its connection after the first commit of each
    message, which the broker then delivers again. The process lives on: only to the broker is this a crash."""


_SWITCHES = TypeAdapter(Switches)


class FaultSwitchboard:
    """The switches of one service."""

    def __init__(self, service: str, redis: Redis) -> None:
        self.now = Switches()
        self._key = f"{service}:switches"
        self._redis = redis
        self._turned = asyncio.Event()
        self._resets_at = 0.0

    @property
    def resets_in(self) -> int:
        """Seconds until the switches reset; 0 if all are normal."""
        return max(round(self._resets_at - monotonic()), 0) if self.now != Switches() else 0

    async def turn(self, switches: Switches) -> None:
        """Sets the switches for all replicas. Raises `RedisAway` when Redis is away."""
        async with reached():
            await self._redis.set(self._key, _SWITCHES.dump_json(switches), ex=RESET_AFTER)
        self._set(switches, RESET_AFTER)

    async def run(self) -> None:
        """Reads the switches until it is cancelled; without Redis they stay as they are."""
        backoff = Backoff("Redis, to read the switches", log)
        while True:
            try:
                async with reached():
                    kept = await self._redis.get(self._key)
                    left = await self._redis.ttl(self._key) if kept else 0
                self._set(_SWITCHES.validate_json(kept) if kept else Switches(), left)
                backoff.reset()
                await asyncio.sleep(POLL)
            except ValidationError:
                self._set(Switches(), 0)
                await asyncio.sleep(POLL)
            except Exception as error:
                await backoff.wait(error)

    def _set(self, switches: Switches, left: float) -> None:
        self._resets_at = monotonic() + left
        if switches != self.now:
            log.warning("the switches are turned: %s", asdict(switches))
            self.now = switches
            self._turned.set()
            self._turned = asyncio.Event()

    async def until(self, *wanted: str) -> None:
        """Waits until these are on. Raises `BusError` after `SWITCH_TIMEOUT`."""
        try:
            async with asyncio.timeout(SWITCH_TIMEOUT):
                while not self.on(*wanted):
                    await self._turned.wait()
        except TimeoutError:
            raise BusError("switched off, for demonstration") from None

    async def during(self, work: Coroutine[Any, Any, T], *wanted: str) -> T:
        """Returns the result of `work`. Cancels it and raises `BusError` as soon as one of these is off."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done() and self.on(*wanted):
                turned = asyncio.ensure_future(self._turned.wait())
                try:
                    await asyncio.wait({task, turned}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    turned.cancel()
            if task.done():
                return task.result()
            raise BusError("switched off, for demonstration")
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def on(self, *wanted: str) -> bool:
        """Whether all of these are on now."""
        return all(getattr(self.now, name) for name in wanted)
