"""Redis, or a stand-in in memory: for what may be lost without harm and must be shared fast."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from runtime.problems import Problem

TIMEOUT = 0.5
"""Seconds for one connection attempt or one answer."""
PATIENCE = 0.9
"""Seconds for a whole exchange, with connecting anew: what needs Redis says within a second that it is away."""
CONNECTIONS = 50


class SessionsUnavailable(Problem):
    """Redis is away, so nobody can sign in right now; who is signed in stays so."""

    status, code, title = 503, "sessions_unavailable", "Signing in is not possible right now"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "2"}


def connect(url: str) -> Redis:
    """A client that connects when it is first used. `memory://` is a Redis inside this process, for this client alone;
    `memory://NAME` is one that all clients of that name share."""
    if url.startswith("memory://"):
        from fakeredis import FakeAsyncRedis, FakeServer

        name = url.removeprefix("memory://")
        server = FakeServer.get_server(name, (7,), "redis") if name else FakeServer()
        return FakeAsyncRedis(server=server, decode_responses=True)
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=TIMEOUT,
        decode_responses=True,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)


@asynccontextmanager
async def reached(unavailable: type[Problem] = SessionsUnavailable) -> AsyncIterator[None]:
    """Around an exchange with Redis: raises `unavailable` when it fails or takes longer than `PATIENCE`."""
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except (RedisError, OSError) as error:
        raise unavailable("What this needs cannot be reached right now. Try again soon.") from error


async def answers(redis: Redis) -> bool:
    """Whether Redis answers right now."""
    try:
        async with reached():
            return bool(await redis.ping())
    except SessionsUnavailable:
        return False
