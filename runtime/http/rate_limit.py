"""A limit on what one account does in a while, counted in Redis so that it holds across replicas."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from runtime.errors import RateLimited
from runtime.storage.redis import Shared

TIMEOUT = 0.2
"""Seconds after which the count is not waited for: a limit is not worth more than what it limits."""


@dataclass(frozen=True)
class Allowance:
    """One thing that somebody may still do."""

    take: Callable[[], Awaitable[None]]
    """Counts it; raises `RateLimited` when there were enough, and then counts nothing."""
    give_back: Callable[[], Awaitable[object]]
    """Takes it from the count: it was not done."""


class RateLimit:
    """At most `limit` in `seconds`, counted from the first. While Redis is away everything is let through."""

    def __init__(self, redis: Redis, prefix: str, limit: int, seconds: int, away: Callable[[], bool]) -> None:
        """`prefix` of the keys; `away` tells whether Redis is known to be away, so that it is not asked at all."""
        self._redis = Shared(redis)
        self._prefix = prefix
        self._limit, self._seconds = limit, seconds
        self._away = away

    def one(self, whose: str) -> Allowance:
        """One thing more that an account does."""
        return Allowance(partial(self.take, whose), partial(self._less, whose))

    async def take(self, whose: str) -> None:
        """Counts one; raises `RateLimited` when there were enough, and then counts nothing."""
        if self._away():
            return
        key = f"{self._prefix}:{whose}"
        try:
            async with asyncio.timeout(TIMEOUT):
                # At once, which is one round trip: a count that began and whose answer came too late has its end, too.
                taken, _ = await asyncio.gather(
                    self._redis.ask("INCR", key), self._redis.ask("EXPIRE", key, self._seconds, "NX")
                )
        except (RedisError, OSError):
            return
        if taken > self._limit:
            raise RateLimited(f"At most {self._limit} in {self._seconds} seconds.", max(1, await self._less(whose)))

    async def _less(self, whose: str) -> int:
        """Counts one less. Returns for how many seconds the count goes on."""
        key = f"{self._prefix}:{whose}"
        with suppress(RedisError, OSError):
            async with asyncio.timeout(TIMEOUT):
                # With an end, because what was counted may have run out just now.
                _, _, left = await asyncio.gather(
                    self._redis.ask("DECR", key),
                    self._redis.ask("EXPIRE", key, self._seconds, "NX"),
                    self._redis.ask("TTL", key),
                )
                return int(left)
        return self._seconds
