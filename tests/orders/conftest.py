"""The orders service for all tests: on a PostgreSQL of its own, in demonstration mode, so that time can be moved."""

from collections.abc import AsyncIterator

import httpx
import pytest

from batalkan.keys import Keys
from runtime.messaging.bus.memory import MemoryBus
from runtime.settings import Environment, Settings
from services.orders.main import SPEC, build
from tests.conftest import Databases
from tests.harness.bus_events import EventRecorder
from tests.harness.orders import OrdersHarness
from tests.harness.orders_actors import People


@pytest.fixture(scope="session")
async def harness(embedded_databases: Databases, keys: Keys) -> AsyncIterator[OrdersHarness]:
    """The service at work. Each test brings its own people and products, so that one cannot trouble another."""
    async with embedded_databases.lent() as databases:
        url = await databases.fresh("orders", SPEC.migrations)
        env = Environment({"TOKEN_KEYS": str(keys.token_keys), "DEMONSTRATION": "1"})
        bus = MemoryBus()
        service = build(Settings.read("orders", env), env, url, bus)
        transport = httpx.ASGITransport(service.app)
        async with (
            EventRecorder(bus, "refunds").listening("orders", SPEC.publishes) as recorder,
            httpx.AsyncClient(transport=transport, base_url="http://orders") as http,
            service.running(),
        ):
            await service.until_ready()
            yield OrdersHarness(service, People(keys, http), recorder)
