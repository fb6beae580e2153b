"""Redis, or a stand-in in memory: for what may be lost without harm and must be shared fast."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from runtime.problems import Problem

TIMEOUT = 0.5
"""Seconds: what needs Redis says so within a second when it is away."""

Fault = RedisError
"""What a call raises when Redis is away or refuses."""


class SessionsUnavailable(Problem):
    """Redis is away, so nobody can sign in right now; who is signed in stays so."""

    status, code, title = 503, "sessions_unavailable", "Signing in is not possible right now"


def connect(url: str) -> Redis:
    """A client that connects when it is first used. `memory://` is a Redis inside this process."""
    if url == "memory://":
        from fakeredis import FakeAsyncRedis

        return FakeAsyncRedis(decode_responses=True)
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 1),
    )


async def answers(redis: Redis) -> bool:
    """Whether Redis answers right now."""
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False
