"""Revocations: sessions that have ended before their access tokens expire.

`accounts` keeps them in Redis until their tokens have expired, and publishes each one on a channel. A replica that was
not connected reads what it has missed. While Redis is away, a token is valid until it expires.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from time import time
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from runtime.backoff import Backoff
from runtime.http.auth import Identity
from runtime.storage.broadcast import RedisBroadcast
from runtime.storage.redis import RedisAway, reached

ENDED = "accounts:ended"
"""The channel, and the sorted set of entries by the time (seconds since the epoch) at which they may be deleted."""
KEPT = 16 * 60
"""Seconds: longer than an access token lives."""
MAX_ENTRIES = 100_000
"""The maximum of entries; the oldest are deleted first."""

log = logging.getLogger(__name__)


def revoke(pipeline: Pipeline, account_id: UUID, sessions: Collection[str]) -> None:
    """Publishes that these sessions have ended, once the pipeline is executed."""
    now = time()
    entries = [entry_of(account_id, session) for session in sessions]
    pipeline.zadd(ENDED, dict.fromkeys(entries, now + KEPT))
    pipeline.zremrangebyscore(ENDED, "-inf", now)
    pipeline.zremrangebyrank(ENDED, 0, -MAX_ENTRIES - 1)
    pipeline.expire(ENDED, KEPT)
    for entry in entries:
        pipeline.publish(ENDED, f"accounts\n{entry}")


def entry_of(account_id: UUID, session: str) -> str:
    """The name of a session in Redis."""
    return f"{account_id} {session}"


class Revocations:
    """The ended sessions that this process knows of."""

    def __init__(self, redis: Redis) -> None:
        self.on_end: list[Callable[[UUID, str], object]] = []
        """Called with account and session when this process learns that a session has ended."""
        self._redis = redis
        self._ended: dict[str, float] = {}
        self._due = asyncio.Event()
        self._broadcast = RedisBroadcast(redis, ENDED, lambda entry: self._note(entry, time() + KEPT), self._due.set)

    def attach(self, app: FastAPI, background: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        """Has the service refuse the access tokens of ended sessions."""
        app.state.verifier.is_over = self.__contains__
        background.append(self.run)

    def __contains__(self, person: Identity) -> bool:
        return entry_of(person.account_id, person.session) in self._ended

    def add(self, person: Identity) -> None:
        """Adds a session that this process has ended."""
        self._note(entry_of(person.account_id, person.session), time() + KEPT)

    async def is_over(self, person: Identity) -> bool:
        """As `in`, but asks Redis if it is there: the message about an end may still be on its way."""
        if person in self:
            return True
        try:
            async with reached(RedisAway):
                return await self._redis.zscore(ENDED, entry_of(person.account_id, person.session)) is not None
        except RedisAway:
            return False

    async def run(self) -> None:
        """Follows the channel until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._broadcast.run())
            group.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        backoff = Backoff("Redis, to read the ended sessions", log)
        while True:
            await self._due.wait()
            self._due.clear()
            if self._broadcast.away:
                continue  # it is due again as soon as Redis is back
            try:
                async with reached(RedisAway):
                    missed: Any = await self._redis.zrangebyscore(ENDED, time(), "+inf", withscores=True)
                for entry, until in missed:
                    self._note(entry, until)
                backoff.reset()
            except RedisAway as error:
                self._due.set()
                await backoff.wait(error)

    def _note(self, entry: str, until: float) -> None:
        while self._ended and next(iter(self._ended.values())) < time():
            del self._ended[next(iter(self._ended))]
        if entry in self._ended:
            return
        self._ended[entry] = until
        account_id, _, session = entry.partition(" ")
        for call in self.on_end:
            call(UUID(account_id), session)
