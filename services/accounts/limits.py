"""Limits on tries. They are counted before what they count is done, so that guesses made at once count as well."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from redis.asyncio import Redis

from runtime.problems import RateLimited
from runtime.redis import reached
from services.accounts.domain import WrongPassword


@dataclass(frozen=True)
class Limit:
    """At most `most` in `seconds`, counted from the first."""

    name: str
    most: int
    seconds: int

    def of(self, whose: str) -> "Count":
        """The count of one address or e-mail."""
        # A digest is short whatever was sent, and leaves no addresses lying about.
        return Count(f"accounts:tries:{self.name}:{hashlib.sha256(whose.encode()).hexdigest()[:32]}", self)


@dataclass(frozen=True)
class Count:
    """Where something is counted, and how far."""

    key: str
    limit: Limit


class Limits:
    """Counts in Redis; raises `SessionsUnavailable` when that is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, *counts: Count) -> None:
        """Counts one try in each; raises `RateLimited`, and counts it nowhere, when one of them is full."""
        async with reached(), self._redis.pipeline(transaction=True) as pipeline:
            for count in counts:
                pipeline.incr(count.key)
                pipeline.expire(count.key, count.limit.seconds, nx=True)
                pipeline.ttl(count.key)
            answers = await pipeline.execute()
        tries, waits = answers[::3], answers[2::3]
        full = [
            max(1, int(wait)) for count, made, wait in zip(counts, tries, waits, strict=True) if made > count.limit.most
        ]
        if full:
            await self.give_back(*counts)
            raise RateLimited(f"Too many tries. Try again in {max(full)} seconds.", max(full))

    async def give_back(self, *counts: Count) -> None:
        """Takes one try back from each."""
        async with reached(), self._redis.pipeline(transaction=True) as pipeline:
            for count in counts:
                pipeline.decr(count.key)
                pipeline.expire(count.key, count.limit.seconds, nx=True)
            await pipeline.execute()

    @asynccontextmanager
    async def guess(self, *counts: Count) -> AsyncIterator[None]:
        """Around a try to get in: it stays counted if it ends in `WrongPassword`, not if it succeeds or we fail."""
        await self.take(*counts)
        try:
            yield
        except WrongPassword:
            raise
        except Exception:
            await self.give_back(*counts)
            raise
        await self.give_back(*counts)


def line(host: str) -> str:
    """Whose line an address is on: with IPv6 everybody has 2⁶⁴ of them, so that its network is counted."""
    with suppress(ValueError):
        address = ip_address(host)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
            return f"{int(address) >> 64:x}"
    return host
