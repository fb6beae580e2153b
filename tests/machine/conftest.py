"""Fixtures for processes of ours."""

import os
from collections.abc import Iterator
from errno import EACCES
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
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that cannot be read; root could read every real one."""
    stat = Path.stat

    def refuse(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if tmp_path in path.parents:
            raise PermissionError(EACCES, os.strerror(EACCES), str(path))
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", refuse)
    return tmp_path


@pytest.fixture
def port() -> int:
    """A free port."""
    return next(free_ports())
