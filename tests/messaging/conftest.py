"""Fixtures of the messaging tests."""

from collections.abc import AsyncIterator

import pytest

from runtime import deadlines, inbox, outbox, parked, patience
from tests.conftest import BusOf, Databases
from tests.messaging.toys import Toys


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between two attempts are short, so that a test with many of them is."""
    monkeypatch.setattr(patience, "LONGEST", 0.2)
    monkeypatch.setattr(inbox, "RETRY_AFTER", 0.001)
    for module in (outbox, deadlines, parked):
        monkeypatch.setattr(module, "POLL", 0.1)


@pytest.fixture
async def toys(bus: BusOf, databases: Databases) -> AsyncIterator[Toys]:
    """Services to try things with, on both buses."""
    made = Toys(bus, databases)
    yield made
    await made.close()
