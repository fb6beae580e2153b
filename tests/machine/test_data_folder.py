"""The folder of the private servers, and the installation of their packages."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from batalkan.operate import database_urls
from batalkan.servers import FolderInUse, LocalServers, ServersMissing, install, packages
from batalkan.servers.data_folder import PORTS, DataFolder
from runtime.settings import Environment
from runtime.storage.embedded import DataFolderUnusable


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as readable for all users, though pytest's are private."""
    monkeypatch.setattr(DataFolder, "_all_can_access", lambda self: True)
    return tmp_path_factory.mktemp("place")


def test_a_folder_keeps_its_ports_and_passwords(open_folder: Path) -> None:
    """Every server has a port of its own, to which the kernel connects no client, and every name a password of its
    own, in a file that only the owner may read. After a restart they are the same."""
    first = DataFolder(open_folder)
    ports = [first.port(name) for name in ("redis", "epmd", "postgres")]
    passwords = [first.secret(*name) for name in (("redis", "orders"), ("redis", "refunds"), ("postgres", "refunds"))]
    assert len(set(ports)) == len(set(passwords)) == 3
    assert all(port in PORTS and port < 32_768 for port in ports)
    assert stat.S_IMODE((open_folder / "servers.json").stat().st_mode) == 0o600
    first.leave()
    second = DataFolder(open_folder)
    assert (second.port("redis"), second.secret("redis", "orders")) == (ports[0], passwords[0])
    second.leave()


def test_folder_belongs_to_one_at_a_time(open_folder: Path) -> None:
    """A second user of the folder is turned away until the first has left."""
    first = DataFolder(open_folder)
    with pytest.raises(FolderInUse, match="already run"):
        DataFolder(open_folder, timeout=0)
    first.leave()
    DataFolder(open_folder, timeout=0).leave()


def test_an_unusable_folder_is_named(tmp_path: Path) -> None:
    """Where a file is in the way there can be no servers."""
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusable, match=f"{tmp_path}/file/data: Not a directory"):
        DataFolder(tmp_path / "file" / "data")


async def test_nobody_looks_into_another_users_folder(closed: Path) -> None:
    """Whether services run there is not known."""
    with pytest.raises(DataFolderUnusable, match=f"{closed}/postgres/postmaster.pid: Permission denied"):
        await database_urls(Environment({}), closed).__aenter__()


def test_temporary_folder_is_removed(tmp_path: Path) -> None:
    """Without a folder of the caller's nothing is left behind."""
    data_folder = DataFolder(None)
    (data_folder.folder / "data").touch()
    data_folder.leave()
    assert not data_folder.folder.exists()


def test_missing_servers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages, starting fails with the names of the missing ones."""
    monkeypatch.setattr(packages, "find", lambda name: None if name == "redis" else Path("/bin/true"))
    with pytest.raises(ServersMissing, match="redis"):
        LocalServers()


def test_machine_without_apt_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where packages cannot be installed, one sentence names them."""
    monkeypatch.setattr(packages, "find", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServersMissing, match="install these packages and try again: rabbitmq-server redis-server"):
        install(tmp_path / "log", say=lambda line: None)


def test_failed_installation_points_to_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When apt-get fails, the error names the log with its output, and the policy file is gone again."""
    monkeypatch.setattr(packages, "find", lambda name: None)
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f"#!/bin/sh\ncat {tmp_path}/policy; echo no space left; exit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")
    said: list[str] = []
    with pytest.raises(ServersMissing, match=str(tmp_path / "log")):
        install(tmp_path / "log", say=said.append)
    assert "no space left" in (tmp_path / "log").read_text()
    assert "exit 101" in (tmp_path / "log").read_text()
    assert not (tmp_path / "policy").exists()
    assert len(said) == 1


def test_policy_holds_while_we_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy forbids starting daemons as long as the installing process is there, and no longer. A policy that the
    machine has already is neither changed nor removed."""
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy")
    with packages.daemons_stay_off([]):
        policy = (tmp_path / "policy").read_text()
        assert subprocess.run([tmp_path / "policy"], check=False).returncode == 101  # noqa: S603
    (tmp_path / "policy").write_text(policy.replace(str(os.getpid()), "none"))
    assert subprocess.run(["/bin/sh", tmp_path / "policy"], check=False).returncode == 0  # noqa: S603
    with packages.daemons_stay_off([]):
        pass
    assert "none" in (tmp_path / "policy").read_text()
