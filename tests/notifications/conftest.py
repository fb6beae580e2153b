"""The service `notifications` for all tests."""

from collections.abc import AsyncIterator

import pytest

from batalkan.keys import Keys
from tests.conftest import Databases
from tests.harness.notifications import MIGRATIONS, NotificationsHarness, Receiver, open_harness, receiving


@pytest.fixture(scope="session")
async def harness(embedded_databases: Databases, keys: Keys) -> AsyncIterator[NotificationsHarness]:
    """The service at work. Each test brings its own people and orders, so that one cannot trouble another."""
    async with (
        embedded_databases.lent() as databases,
        open_harness(await databases.migrated("notifications", MIGRATIONS), keys) as harness,
    ):
        yield harness


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver of webhooks that accepts everything."""
    async with receiving() as receiver:
        yield receiver
