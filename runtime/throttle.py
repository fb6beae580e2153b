"""A limit on what one account does in a while, counted in Redis so that it holds across replicas."""

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from runtime.problems import RateLimited
from runtime.redis import Shared

PATIENCE = 0.2
"""Seconds after which the count is not waited for: a limit is not worth more than what it limits."""


class Throttle:
    """At most `most` in `seconds`, counted from the first. While Redis is away everything is let through."""

    def __init__(self, redis: Redis, prefix: str, most: int, seconds: int, away: Callable[[], bool]) -> None:
        """`prefix` of the keys; `away` tells whether Redis is known to be away, so that it is not asked at all."""
        self._redis = Shared(redis)
        self._prefix = prefix
        self._most, self._seconds = most, seconds
        self._away = away

    async def take(self, whose: str) -> None:
        """Counts one; raises `RateLimited` when there were enough."""
        if self._away():
            return
        key = f"{self._prefix}:{whose}"
        try:
            async with asyncio.timeout(PATIENCE):
                # At once, which is one round trip: a count that began and whose answer came too late has its end, too.
                taken, _ = await asyncio.gather(
                    self._redis.ask("INCR", key), self._redis.ask("EXPIRE", key, self._seconds, "NX")
                )
                if taken <= self._most:
                    return
                wait = int(await self._redis.ask("TTL", key))
        except (RedisError, OSError):
            return
        if taken > self._most:
            raise RateLimited(f"At most {self._most} in {self._seconds} seconds.", max(1, wait))
