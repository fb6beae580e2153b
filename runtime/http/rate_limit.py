"""Rate limits for an account, counted in Redis for all replicas together."""

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
"""Seconds to wait for the count; then the request passes, because the limit matters less than the request."""


@dataclass(frozen=True)
class Allowance:
    """The permission for one more action."""

    take: Callable[[], Awaitable[None]]
    """Counts the action; raises `RateLimited` above the limit, and then counts nothing."""
    give_back: Callable[[], Awaitable[object]]
    """Uncounts the action, which was not done."""


class RateLimit:
    """At most `limit` actions in `seconds`, from the first one. While Redis is away, everything passes."""

    def __init__(self, redis: Redis, prefix: str, limit: int, seconds: int, away: Callable[[], bool]) -> None:
        """`prefix` of the keys; `away`: whether Redis is known to be away, and need not be asked."""
        self._redis = Shared(redis)
        self._prefix = prefix
        self._limit, self._seconds = limit, seconds
        self._away = away

    def one(self, whose: str) -> Allowance:
        """The permission for one more action of this account."""
        return Allowance(partial(self.take, whose), partial(self._less, whose))

    async def take(self, whose: str) -> None:
        """Counts one action; raises `RateLimited` above the limit, and then counts nothing."""
        if self._away():
            return
        key = f"{self._prefix}:{whose}"
        try:
            async with asyncio.timeout(TIMEOUT):
                # Both in one round trip: the key expires also if the answer comes too late.
                taken, _ = await asyncio.gather(
                    self._redis.ask("INCR", key), self._redis.ask("EXPIRE", key, self._seconds, "NX")
                )
        except (RedisError, OSError):
            return
        if taken > self._limit:
            raise RateLimited(f"At most {self._limit} in {self._seconds} seconds.", max(1, await self._less(whose)))

    async def _less(self, whose: str) -> int:
        """Uncounts one action. Returns the seconds until the count expires."""
        key = f"{self._prefix}:{whose}"
        with suppress(RedisError, OSError):
            async with asyncio.timeout(TIMEOUT):
                # With EXPIRE, because the key may have expired just now.
                _, _, left = await asyncio.gather(
                    self._redis.ask("DECR", key),
                    self._redis.ask("EXPIRE", key, self._seconds, "NX"),
                    self._redis.ask("TTL", key),
                )
                return int(left)
        return self._seconds
