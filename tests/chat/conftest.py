"""The chat service for all tests."""

from collections.abc import AsyncIterator
from secrets import token_hex

import pytest

from batalkan.keys import Keys
from tests.conftest import Databases
from tests.harness.chat import MIGRATIONS, ChatHarness, Conversation, Replica, on_a_port, open_harness, replicas


@pytest.fixture(scope="session")
async def harness(embedded_databases: Databases, keys: Keys) -> AsyncIterator[ChatHarness]:
    """The service at work. Each test brings its own people and orders, so that one cannot trouble another."""
    async with (
        embedded_databases.lent() as databases,
        open_harness(await databases.migrated("chat", MIGRATIONS), keys) as harness,
    ):
        yield harness


@pytest.fixture
async def conversation(harness: ChatHarness) -> Conversation:
    """A thread about a paid order, without messages."""
    return await harness.conversation()


@pytest.fixture(scope="session")
async def origin(harness: ChatHarness) -> AsyncIterator[str]:
    """The address of that service."""
    async with on_a_port(harness.service) as origin:
        yield origin


@pytest.fixture(scope="session")
async def pair(harness: ChatHarness, keys: Keys) -> AsyncIterator[list[Replica]]:
    """Two more replicas, which share one Redis in memory."""
    async with replicas(harness, keys, f"memory://{token_hex(4)}") as made:
        yield made
