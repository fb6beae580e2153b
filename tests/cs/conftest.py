"""Fixtures of the tests of customer service."""

from collections.abc import AsyncIterator

import pytest

from batalkan.keys import Keys
from tests.conftest import Databases
from tests.harness.cs import CsHarness, open_harness


@pytest.fixture(scope="package")
async def shared_harness(embedded_databases: Databases, keys: Keys) -> AsyncIterator[CsHarness]:
    """The service, for all tests that need one plain replica; deadlines wait for them."""
    async with embedded_databases.lent() as databases, open_harness(databases, keys, fires=False) as harness:
        yield harness


@pytest.fixture
async def harness(shared_harness: CsHarness) -> CsHarness:
    """The service, without people and cases."""
    await shared_harness.clean()
    return shared_harness
