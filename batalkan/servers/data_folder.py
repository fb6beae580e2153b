"""The folder with the data, logs, ports and passwords of private servers."""

# ruff: noqa: S603 - one fixed command

import fcntl
import hashlib
import json
import os
import pwd
import random
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from runtime.storage.embedded import DataFolderUnusable

PORTS = range(20_000, 32_000)


class FolderInUse(Exception):
    """Other servers already run in this folder."""


class DataFolder:
    """Persistent: the same folder gives the same ports, passwords and data."""

    def __init__(self, folder: Path | None, *, timeout: float = 6) -> None:
        """Without a folder: a temporary one that `leave` removes.

        PostgreSQL refuses to run as root, so for root the servers run as the users of their packages. If those cannot
        access `folder` (in a private home, say), the data are in /var/tmp instead, and `folder` names that place.
        `timeout`: seconds to wait for a folder in use: servers whose owner was killed need a few seconds to end.
        Raises FolderInUse, DataFolderUnusable.
        """
        self.temporary = folder is None
        self.folder = (folder or Path(tempfile.mkdtemp(prefix="batalkan-servers-"))).absolute()
        try:
            self._find_place()
            self.lock = self._take_lock(timeout)
            self._file = self.folder / "servers.json"
            known = json.loads(self._file.read_text()) if self._file.exists() else {}
        except OSError as error:
            raise DataFolderUnusable(f"{self.folder}: {error.strerror}") from error
        self._ports: dict[str, int] = known.get("ports", {})
        self._secrets: dict[str, str] = known.get("secrets", {})

    def port(self, name: str) -> int:
        """The stored port if it is free, otherwise a random free one."""
        if name not in self._ports or not is_free(self._ports[name]):
            taken = set(self._ports.values())
            self._ports[name] = next(port for port in free_ports() if port not in taken)
            self._save()
        return self._ports[name]

    def secret(self, *names: str) -> str:
        """A random password of letters, digits, `-` and `_`, created once per name."""
        name = "/".join(names)
        if name not in self._secrets:
            self._secrets[name] = secrets.token_urlsafe(24)
            self._save()
        return self._secrets[name]

    def user(self, package_user: str) -> str | None:
        """The user that the server runs as; None for the current one."""
        if os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam(package_user).pw_name
        except KeyError:
            return "nobody"

    def make(self, name: str, *, user: str) -> Path:
        """A private folder of one server."""
        path = self.folder / name
        path.mkdir(mode=0o700, exist_ok=True)
        self.give(path, user=user)
        return path

    def give(self, path: Path, *, user: str) -> None:
        if owner := self.user(user):
            shutil.chown(path, owner)

    def write(self, path: Path, text: str, *, user: str) -> None:
        """Writes a file that only the server may read."""
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(text)
        self.give(path, user=user)

    def leave(self) -> None:
        """Releases the folder; removes a temporary one."""
        os.close(self.lock)
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self) -> None:
        """Saves at once: data without their password would be lost."""
        new = self.folder / "servers.json.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps({"ports": self._ports, "secrets": self._secrets}, indent=1))
        new.replace(self._file)

    def _find_place(self) -> None:
        self._make_folder()
        if self.temporary or self._all_can_access():
            return
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        self.folder = Path("/var/tmp") / f"batalkan-{digest}"  # noqa: S108 - survives a reboot, unlike /tmp
        self._make_folder()
        if self.folder.is_symlink() or self.folder.stat().st_uid != os.geteuid():
            raise DataFolderUnusable(f"{self.folder} belongs to another user; remove it, or choose another folder")

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            self.folder.chmod(0o711)  # the servers' users need to traverse it

    def _all_can_access(self) -> bool:
        test = ["/usr/bin/test", "-x", str(self.folder)]
        users = {user for name in ("postgres", "rabbitmq", "redis") if (user := self.user(name))}
        for user in users:
            group = pwd.getpwnam(user).pw_gid
            if subprocess.run(test, user=user, group=group, extra_groups=[], check=False).returncode != 0:
                return False
        return True

    def _take_lock(self, timeout: float) -> int:
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(lock)
                    raise FolderInUse(f"servers already run in {self.folder}; stop them") from None
                time.sleep(0.1)
            else:
                return lock


def free_ports() -> Iterator[int]:
    """Different free ports, below the kernel's range for outgoing connections: a restarted server finds its port
    free."""
    return (port for port in random.sample(PORTS, len(PORTS)) if is_free(port))


def is_free(port: int) -> bool:
    """Whether the port is free on 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
