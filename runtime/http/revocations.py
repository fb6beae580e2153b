"""Sessions that have ended before their last access token: known to every replica within moments.

`accounts` keeps them in Redis until no token of theirs is good any more, and says each one over a channel. Whoever was
not connected meanwhile reads what it has missed. While Redis is away the end of a token is all that is left.
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
"""The channel, and the sorted set by the second (since the epoch) at which an entry may be forgotten."""
KEPT = 16 * 60
"""Seconds: longer than an access token lives."""
MOST = 100_000
"""Entries that are kept at the most; the oldest go first."""

log = logging.getLogger(__name__)


def revoke(pipeline: Pipeline, account_id: UUID, sessions: Collection[str]) -> None:
    """Tells everybody that these sessions are over, once the pipeline is executed."""
    now = time()
    entries = [entry_of(account_id, session) for session in sessions]
    pipeline.zadd(ENDED, dict.fromkeys(entries, now + KEPT))
    pipeline.zremrangebyscore(ENDED, "-inf", now)
    pipeline.zremrangebyrank(ENDED, 0, -MOST - 1)
    pipeline.expire(ENDED, KEPT)
    for entry in entries:
        pipeline.publish(ENDED, f"accounts\n{entry}")


def entry_of(account_id: UUID, session: str) -> str:
    """By which a session is named in Redis."""
    return f"{account_id} {session}"


class Revocations:
    """The sessions that are over, as far as this process knows."""

    def __init__(self, redis: Redis) -> None:
        self.on_end: list[Callable[[UUID, str], object]] = []
        """Called with account and session as soon as the end of a session is heard of."""
        self._redis = redis
        self._ended: dict[str, float] = {}
        self._due = asyncio.Event()
        self._broadcast = RedisBroadcast(redis, ENDED, lambda entry: self._note(entry, time() + KEPT), self._due.set)

    def attach(self, app: FastAPI, background: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        """Has the service hear of them, and refuse their access tokens."""
        app.state.verifier.is_over = self.__contains__
        background.append(self.run)

    def __contains__(self, person: Identity) -> bool:
        return entry_of(person.account_id, person.session) in self._ended

    def add(self, person: Identity) -> None:
        """Takes note of an end that happens right here."""
        self._note(entry_of(person.account_id, person.session), time() + KEPT)

    async def is_over(self, person: Identity) -> bool:
        """As `in`, but asks Redis, if it is there: what has just ended may not have been heard of."""
        if person in self:
            return True
        try:
            async with reached(RedisAway):
                return await self._redis.zscore(ENDED, entry_of(person.account_id, person.session)) is not None
        except RedisAway:
            return False

    async def run(self) -> None:
        """Listens until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._broadcast.run())
            group.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        backoff = Backoff("Redis, to see which sessions have ended", log)
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
