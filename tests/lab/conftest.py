"""The house in which things go wrong."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from batalkan.servers import install
from lab.faults.system import LabSystem, open_lab_system


@pytest.fixture(scope="package")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LabSystem]:
    """The house, for all tests of this folder."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("servers") / "install.log")
    async with open_lab_system() as system:
        yield system


@pytest.fixture
async def system(opened: LabSystem) -> AsyncIterator[LabSystem]:
    """The house, all of it ready; no service may take what is done to it here for a fault of its own."""
    await opened.repair()
    yield opened
    if errors := opened.new_errors():
        pytest.fail("\n".join(errors), pytrace=False)
