"""The chat service for all tests."""

from collections.abc import AsyncIterator
from secrets import token_hex

import pytest
from redis.asyncio import Redis

from batalkan.keys import Keys
from batalkan.servers import LocalServers
from tests.conftest import Databases
from tests.harness.chat import MIGRATIONS, House, Replica, Talk, on_a_port, open_house, replicas


@pytest.fixture(scope="session")
async def house(embedded_databases: Databases, keys: Keys) -> AsyncIterator[House]:
    """The service at work. Each test brings its own people and orders, so that one cannot trouble another."""
    async with (
        embedded_databases.lent() as databases,
        open_house(await databases.fresh("chat", MIGRATIONS), keys) as house,
    ):
        yield house


@pytest.fixture
async def talk(house: House) -> Talk:
    """A thread about a paid order, in which nothing was said yet."""
    return await house.talk()


@pytest.fixture(scope="session")
async def origin(house: House) -> AsyncIterator[str]:
    """The address of that service."""
    async with on_a_port(house.service) as origin:
        yield origin


@pytest.fixture(scope="session")
async def pair(house: House, keys: Keys) -> AsyncIterator[list[Replica]]:
    """Two more replicas, which share one Redis in memory."""
    async with replicas(house, keys, f"memory://{token_hex(4)}") as made:
        yield made


@pytest.fixture
async def real_redis_url(servers: LocalServers) -> str:
    """The Redis server as `chat` may use it, with nothing in it."""
    async with Redis.from_url(servers.redis.admin_url) as admin:
        await admin.flushall()
    return servers.redis.url("chat")
