"""Fixtures for processes of ours."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from batalkan.servers.data_folder import free_ports


@pytest.fixture
def folder() -> Iterator[Path]:
    """For the data; where PostgreSQL's own user gets in, too."""
    with TemporaryDirectory(prefix="batalkan-tests-") as name:
        yield Path(name)


@pytest.fixture
def port() -> int:
    """A free port."""
    return next(free_ports())
