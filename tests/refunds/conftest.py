"""The refunds service for all tests, on a database of its own, with a DANA in the same process."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batalkan.keys import Keys
from services.refunds.main import SPEC
from simulators.dana.app import Settings, build
from tests.conftest import Databases
from tests.harness.refunds import Dana, RefundsHarness, RefundsSetup, recording


@contextmanager
def simulated(journal: Path, keys: Keys) -> Iterator[Dana]:
    """A DANA without faults."""
    app = build(Settings("batalkan", keys.dana_partner_key.read_bytes(), journal))
    yield Dana(app)
    app.state.journal.close()


@pytest.fixture(scope="session")
async def shared_harness(
    embedded_databases: Databases, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RefundsHarness]:
    """The running service. Each test makes its own buyers."""
    journal = tmp_path_factory.mktemp("dana") / "journal.sqlite"
    async with embedded_databases.lent() as databases:
        url = await databases.migrated("refunds", SPEC.migrations)
        with simulated(journal, keys) as dana:
            async with recording() as recorder, RefundsSetup(url, keys, dana, recorder).opened() as harness:
                yield harness


@pytest.fixture
async def harness(shared_harness: RefundsHarness) -> AsyncIterator[RefundsHarness]:
    """The same, with a DANA without faults; at the end all refunds are issued, and ledger and journal agree."""
    shared_harness.dana.fails()
    yield shared_harness
    await shared_harness.agrees()


@pytest.fixture
async def setup(embedded_databases: Databases, keys: Keys, tmp_path: Path) -> AsyncIterator[RefundsSetup]:
    """A database and a DANA of its own, for a service that is stopped and started again."""
    async with embedded_databases.lent() as databases:
        url = await databases.migrated("refunds", SPEC.migrations)
        with simulated(tmp_path / "journal.sqlite", keys) as dana:
            async with recording() as recorder:
                yield RefundsSetup(url, keys, dana, recorder)
