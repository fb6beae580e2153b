"""Fixtures of the tests of customer service."""

from collections.abc import AsyncIterator

import pytest

from batalkan.keys import Keys
from tests.conftest import Databases
from tests.harness.cs import CsHarness, open_harness


@pytest.fixture(scope="package")
async def shared_house(embedded_databases: Databases, keys: Keys) -> AsyncIterator[CsHarness]:
    """The service, for all tests that need one replica and nothing special; what is due waits for them."""
    async with embedded_databases.lent() as databases, open_harness(databases, keys, fires=False) as harness:
        yield harness


@pytest.fixture
async def harness(shared_house: CsHarness) -> CsHarness:
    """The service, with nobody there yet."""
    await shared_house.clean()
    return shared_house
