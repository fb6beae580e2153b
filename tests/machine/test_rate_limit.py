"""The limit on what one account does in a while."""

import asyncio
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis

from runtime.errors import RateLimited
from runtime.http.rate_limit import RateLimit
from runtime.storage.redis import Shared


async def test_actions_above_the_limit_are_refused_until_it_expires() -> None:
    """The third request within a limit of two is refused with the time to wait."""
    rate_limit = RateLimit(FakeAsyncRedis(), "talk", 2, 10, lambda: False)
    await rate_limit.take("Siti")
    await rate_limit.take("Siti")
    with pytest.raises(RateLimited) as refused:
        await rate_limit.take("Siti")
    assert refused.value.retry_after == 10
    await rate_limit.take("Budi")


async def test_refused_and_returned_actions_are_not_counted() -> None:
    """After any number of refusals, one returned use allows one further use, and the count still expires."""
    redis = FakeAsyncRedis()
    rate_limit = RateLimit(redis, "talk", 2, 10, lambda: False)
    await rate_limit.take("Siti")
    await rate_limit.take("Siti")
    for _ in range(5):
        with pytest.raises(RateLimited):
            await rate_limit.take("Siti")
    await rate_limit.one("Siti").give_back()
    await rate_limit.one("Siti").take()
    with pytest.raises(RateLimited):
        await rate_limit.one("Siti").take()
    await rate_limit.one("Budi").give_back()
    assert await redis.ttl("talk:Siti") == await redis.ttl("talk:Budi") == 10


async def test_a_count_expires_without_further_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """When Redis counts and answers too late, the count still ends in time; what came late is let through."""
    ask = Shared.ask

    async def too_late(self: Shared, *command: str | int) -> Any:
        await ask(self, *command)
        await asyncio.Event().wait()

    monkeypatch.setattr(Shared, "ask", too_late)
    redis = FakeAsyncRedis()
    await RateLimit(redis, "talk", 2, 10, lambda: False).take("Siti")
    assert await redis.ttl("talk:Siti") == 10
