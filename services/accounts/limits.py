"""Limits on attempts. An attempt is counted before it is made, so that concurrent guesses count as well."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from secrets import token_hex

from redis.asyncio import Redis

from runtime.errors import RateLimited
from runtime.storage.redis import reached
from services.accounts.domain import SessionsUnavailable, WrongPassword

BUCKETS = 2**16
"""The maximum of counters of one kind in Redis. All failures that two cores can check within a quarter of an hour are
less than one for each: people who share a bucket do not fill it."""


@dataclass(frozen=True)
class Limit:
    """At most `limit` in `seconds`, counted from the first. With `spacing` further attempts are not refused but
    slowed down: one is let through after 1, 2, 4, … seconds, at most `spacing`."""

    name: str
    limit: int
    seconds: int
    spacing: int = 0


@dataclass(frozen=True)
class Count:
    """A counter in Redis, and its limit."""

    key: str
    limit: Limit

    @property
    def pause(self) -> str:
        """The key that exists for as long as the next attempt has to wait."""
        return f"{self.key}:pause"


class Limits:
    """Counts in Redis; raises `SessionsUnavailable` when that is away. `secret` hides who shares a bucket."""

    def __init__(self, redis: Redis, secret: bytes) -> None:
        self._redis = redis
        self._secret = secret

    def count(self, limit: Limit, whose: str) -> Count:
        """The count of one address, e-mail or account."""
        digest = hmac.digest(self._secret, f"{limit.name}:{whose}".encode(), "sha256")
        return Count(f"accounts:tries:{limit.name}:{int.from_bytes(digest) % BUCKETS:x}", limit)

    async def check(self, *counts: Count) -> None:
        """Raises `RateLimited` when one of them is full. Writes nothing, so that refused attempts use no memory."""
        async with reached(SessionsUnavailable), self._redis.pipeline(transaction=False) as pipeline:
            for count in counts:
                pipeline.get(count.key)
                pipeline.ttl(count.pause if count.limit.spacing else count.key)
            answers = await pipeline.execute()
        waits = [
            max(1, int(wait))
            for count, made, wait in zip(counts, answers[::2], answers[1::2], strict=True)
            if (wait >= 0 if count.limit.spacing else int(made or 0) >= count.limit.limit)
        ]
        if waits:
            raise _refusal(max(waits))

    async def take(self, *counts: Count) -> None:
        """Counts one attempt in each; raises `RateLimited`, and counts it nowhere, when one of them is full.

        One after the other: of concurrent attempts, those that the first count refuses leave nothing in the others.
        """
        await self.check(*counts)
        for number, count in enumerate(counts):
            if wait := await self._add(count):
                await self.give_back(*counts[:number])
                raise _refusal(wait)

    async def _add(self, count: Count) -> int:
        """Counts one attempt; beyond the limit it does not count, and the result is the seconds to wait."""
        limit = count.limit
        async with reached(SessionsUnavailable), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.incr(count.key)
            pipeline.expire(count.key, limit.seconds, nx=True)
            pipeline.ttl(count.key)
            made, _, wait = await pipeline.execute()
            if made <= limit.limit:
                return 0
            if limit.spacing:
                pause = min(2 ** min(made - limit.limit - 1, 30), limit.spacing)
                mine = token_hex(8)  # after a lost answer the command is sent twice, and finds it
                if await self._redis.set(count.pause, mine, nx=True, get=True, ex=pause) in (None, mine):
                    return 0
                wait = await self._redis.ttl(count.pause)
        await self.give_back(count)
        return max(1, int(wait))

    async def give_back(self, *counts: Count) -> None:
        """Uncounts one attempt in each."""
        async with reached(SessionsUnavailable), self._redis.pipeline(transaction=True) as pipeline:
            for count in counts:
                pipeline.decr(count.key)
                pipeline.expire(count.key, count.limit.seconds, nx=True)
            await pipeline.execute()

    @asynccontextmanager
    async def guess(self, *counts: Count) -> AsyncIterator[None]:
        """Around an attempt to sign in: it stays counted only if it ends in `WrongPassword`."""
        await self.take(*counts)
        try:
            yield
        except WrongPassword:
            raise
        except Exception:
            await self.give_back(*counts)
            raise
        await self.give_back(*counts)


def _refusal(wait: int) -> RateLimited:
    return RateLimited(f"Too many attempts. Try again in {wait} seconds.", wait)


def network_of(host: str) -> str:
    """What to count for an address: with IPv6 its network, because each customer has 2⁶⁴ addresses."""
    with suppress(ValueError):
        address = ip_address(host)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
            return f"{int(address) >> 64:x}"
    return host
