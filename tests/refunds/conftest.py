"""The refunds service for all tests, on a PostgreSQL of its own, with a DANA in the same process."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batalkan.keys import Keys
from services.refunds.main import SPEC
from simulators.dana.app import Settings, build
from tests.conftest import Databases
from tests.harness.refunds import Dana, RefundsHarness, RefundsSetup, listening


@contextmanager
def simulated(journal: Path, keys: Keys) -> Iterator[Dana]:
    """A DANA in good order."""
    app = build(Settings("batalkan", keys.dana_partner_key.read_bytes(), journal))
    yield Dana(app)
    app.state.journal.close()


@pytest.fixture(scope="session")
async def one_bank(
    embedded_databases: Databases, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RefundsHarness]:
    """The service at work. Each test brings its own buyers."""
    journal = tmp_path_factory.mktemp("dana") / "journal.sqlite"
    async with embedded_databases.lent() as databases:
        url = await databases.fresh("refunds", SPEC.migrations)
        with simulated(journal, keys) as dana:
            async with listening() as recorder, RefundsSetup(url, keys, dana, recorder).opened() as harness:
                yield harness


@pytest.fixture
async def harness(one_bank: RefundsHarness) -> AsyncIterator[RefundsHarness]:
    """The same, with a DANA in good order; at the end all refunds are issued, and ledger and journal agree."""
    one_bank.dana.fails()
    yield one_bank
    await one_bank.agrees()


@pytest.fixture
async def setup(embedded_databases: Databases, keys: Keys, tmp_path: Path) -> AsyncIterator[RefundsSetup]:
    """A place with a database and a DANA of its own, for banks that are closed and opened again."""
    async with embedded_databases.lent() as databases:
        url = await databases.fresh("refunds", SPEC.migrations)
        with simulated(tmp_path / "journal.sqlite", keys) as dana:
            async with listening() as recorder:
                yield RefundsSetup(url, keys, dana, recorder)
