"""The orders service for all tests: on a PostgreSQL of its own, in demonstration mode, so that time can be moved."""

from collections.abc import AsyncIterator

import httpx
import pytest

from batalkan.keys import Keys
from runtime.messaging.bus.memory import MemoryBus
from runtime.settings import Environment, Settings
from services.orders.main import DESCRIPTION, build
from tests.conftest import Databases
from tests.harness.bus_events import Ears
from tests.harness.orders import Shop
from tests.harness.orders_actors import People


@pytest.fixture(scope="session")
async def shop(embedded_databases: Databases, keys: Keys) -> AsyncIterator[Shop]:
    """The service at work. Each test brings its own people and products, so that one cannot trouble another."""
    async with embedded_databases.lent() as databases:
        url = await databases.fresh("orders", DESCRIPTION.migrations)
        env = Environment({"TOKEN_KEYS": str(keys.token_keys), "DEMONSTRATION": "1"})
        bus = MemoryBus()
        service = build(Settings.read("orders", env), env, url, bus)
        transport = httpx.ASGITransport(service.app)
        async with (
            Ears(bus, "refunds").listening("orders", DESCRIPTION.publishes) as ears,
            httpx.AsyncClient(transport=transport, base_url="http://orders") as http,
            service.running(),
        ):
            await service.until_ready()
            yield Shop(service, People(keys, http), ears)
