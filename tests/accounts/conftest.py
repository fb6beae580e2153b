from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from batalkan.keys import Keys
from batalkan.servers import LocalServers
from runtime.storage.redis import connect
from tests.conftest import Databases
from tests.harness.accounts import MIGRATIONS, AccountsHarness, Visitor, open_harness

AllKeys = Callable[[], Awaitable[Sequence[Any]]]


@pytest.fixture
async def database_url(embedded_databases: Databases) -> AsyncIterator[str]:
    """A database for one test."""
    async with embedded_databases.lent() as lent:
        yield await lent.migrated("accounts", MIGRATIONS)


@pytest.fixture(scope="session")
async def harness(embedded_databases: Databases, keys: Keys) -> AsyncIterator[AccountsHarness]:
    """A service that tests share; each test makes its own accounts and addresses."""
    url = await embedded_databases.migrated("accounts", MIGRATIONS)
    async with open_harness(url, keys, REGISTRATIONS_PER_HOUR="1000") as harness:
        yield harness


@pytest.fixture
async def visitor(harness: AccountsHarness) -> AsyncIterator[Visitor]:
    """A visitor without an account."""
    async with harness.visitor() as visitor:
        yield visitor


@pytest.fixture
async def real_redis_url(servers: LocalServers) -> str:
    """The Redis server as `accounts` may use it, with nothing in it."""
    async with Redis.from_url(servers.redis.admin_url) as admin:
        await admin.flushall()
    return servers.redis.url("accounts")


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.servers)])
def redis_url(request: pytest.FixtureRequest) -> str:
    """One Redis after the other: a test that takes this holds for both."""
    return "memory://" if request.param == "memory" else str(request.getfixturevalue("real_redis_url"))


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of that Redis, which is empty."""
    async with connect(redis_url) as redis:
        yield redis


@pytest.fixture
async def all_keys(request: pytest.FixtureRequest, redis: Redis, redis_url: str) -> AsyncIterator[AllKeys]:
    """Lists the keys in that Redis, as the service itself may not do at the server."""
    if redis_url == "memory://":
        yield partial(redis.keys, "*")
        return
    async with connect(request.getfixturevalue("servers").redis.admin_url) as admin:
        yield partial(admin.keys, "*")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may take its time: on a busy machine an exchange is given up otherwise, and what it counts is not."""
    monkeypatch.setattr("runtime.storage.redis.TIMEOUT", 60)
