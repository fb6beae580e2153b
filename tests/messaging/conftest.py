"""Fixtures of the messaging tests."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from runtime import backoff
from runtime.messaging import consumer, deadlines, relay, replay
from runtime.messaging.bus.memory import MemoryBus
from tests.conftest import BusOf, Databases
from tests.messaging.toys import Shelf, Toys


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between two attempts are short, so that a test with many of them is."""
    monkeypatch.setattr(backoff, "SHORTEST", 0.01)
    monkeypatch.setattr(backoff, "LONGEST", 0.05)
    monkeypatch.setattr(consumer, "RETRY_AFTER", 0.001)
    for module in (relay, deadlines, replay):
        monkeypatch.setattr(module, "POLL", 0.02)


@pytest.fixture(scope="session")
def embedded_shelf(embedded_databases: Databases) -> Shelf:
    """Databases in the embedded server."""
    return Shelf(embedded_databases)


@pytest.fixture(scope="session")
def server_shelf(server_databases: Databases) -> Shelf:
    """Databases in the real server."""
    return Shelf(server_databases)


@pytest.fixture
def shelf(bus: BusOf, request: pytest.FixtureRequest) -> Shelf:
    """Databases that go with the bus."""
    found: Shelf = request.getfixturevalue("embedded_shelf" if isinstance(bus("-"), MemoryBus) else "server_shelf")
    return found


@pytest.fixture
async def toys(bus: BusOf, shelf: Shelf) -> AsyncIterator[Toys]:
    """Services to try things with, on both buses."""
    async with aclosing(Toys(bus, shelf)) as toys:
        yield toys


@pytest.fixture
async def embedded_toys(memory_bus: BusOf, embedded_shelf: Shelf) -> AsyncIterator[Toys]:
    """Services to try things with that have nothing to do with the bus."""
    async with aclosing(Toys(memory_bus, embedded_shelf)) as toys:
        yield toys


@pytest.fixture
async def toys_on_rabbit(rabbit_bus: BusOf, server_shelf: Shelf) -> AsyncIterator[Toys]:
    """Services to try things with that only RabbitMQ can show."""
    async with aclosing(Toys(rabbit_bus, server_shelf)) as toys:
        yield toys
