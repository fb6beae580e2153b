"""The system under test of the fault laboratory."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from batalkan.servers import install
from lab.faults.system import LabSystem, open_lab_system


@pytest.fixture(scope="package")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The servers, installed if need be and possible."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("servers") / "install.log")


@pytest.fixture(scope="package")
async def opened(installed: None) -> AsyncIterator[LabSystem]:
    """The system, for all tests of this folder."""
    async with open_lab_system() as system:
        yield system


@pytest.fixture
async def system(opened: LabSystem) -> AsyncIterator[LabSystem]:
    """The repaired system; no service may log an error because of a test's faults."""
    await opened.repair()
    yield opened
    if errors := opened.new_errors():
        pytest.fail("\n".join(errors), pytrace=False)
