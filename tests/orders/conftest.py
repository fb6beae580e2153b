"""The orders service for all tests, on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from batalkan.keys import Keys
from services.orders.main import SPEC
from tests.conftest import Databases
from tests.harness.orders import OrdersHarness, open_harness


@pytest.fixture(scope="session")
async def harness(embedded_databases: Databases, keys: Keys) -> AsyncIterator[OrdersHarness]:
    """The running service. Each test makes its own accounts and products, so that no test affects another."""
    async with (
        embedded_databases.lent() as databases,
        open_harness(await databases.migrated("orders", SPEC.migrations), keys) as harness,
    ):
        yield harness
