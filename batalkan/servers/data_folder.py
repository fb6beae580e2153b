"""The folder where private servers keep their data, logs, ports and passwords, and whose it is."""

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
from pathlib import Path

# Below the range that the kernel hands to outgoing connections: a killed server finds its port free when it returns.
PORTS = range(20_000, 32_000)


class FolderInUse(Exception):
    """Other servers run in this folder."""


class DataFolder:
    """Made anew, it remembers: the same folder gives the same ports, passwords and data."""

    def __init__(self, folder: Path | None, *, timeout: float = 6) -> None:
        """Without a folder: a temporary one that `leave` removes.

        PostgreSQL refuses to run as root, so root's servers run as the users of their packages. When those cannot
        reach `folder` (it lies in a private home), the data go to /var/tmp and `folder` is theirs, not the given one.
        `timeout`: seconds to wait for a folder that is in use, because servers whose owner was killed need a few
        to be gone. Raises FolderInUse.
        """
        self.temporary = folder is None
        self.folder = (folder or Path(tempfile.mkdtemp(prefix="batalkan-servers-"))).absolute()
        self._make_folder()
        if not self.temporary and not self._all_can_reach():
            digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
            self.folder = Path("/var/tmp") / f"batalkan-{digest}"  # noqa: S108 - survives a reboot, unlike /tmp
            self._make_folder()
            if self.folder.is_symlink() or self.folder.stat().st_uid != os.geteuid():
                raise PermissionError(f"{self.folder} belongs to someone else")
        self.lock = self._take_lock(timeout)
        self._file = self.folder / "servers.json"
        known = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._ports: dict[str, int] = known.get("ports", {})
        self._secrets: dict[str, str] = known.get("secrets", {})

    def port(self, name: str) -> int:
        """The port it had before, when that is still free, or else a random free one."""
        if name not in self._ports or not is_free(self._ports[name]):
            taken = set(self._ports.values())
            self._ports[name] = next(port for port in iter(_random_port, 0) if port not in taken and is_free(port))
            self._save()
        return self._ports[name]

    def secret(self, *names: str) -> str:
        """A random password of letters, digits, `-` and `_`, made once per name."""
        name = "/".join(names)
        if name not in self._secrets:
            self._secrets[name] = secrets.token_urlsafe(24)
            self._save()
        return self._secrets[name]

    def user(self, package_user: str) -> str | None:
        """Whom the server runs as: None for ourselves."""
        if os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam(package_user).pw_name
        except KeyError:
            return "nobody"

    def make(self, name: str, *, user: str) -> Path:
        """A private folder of the server's own."""
        path = self.folder / name
        path.mkdir(mode=0o700, exist_ok=True)
        self.give(path, user=user)
        return path

    def give(self, path: Path, *, user: str) -> None:
        if owner := self.user(user):
            shutil.chown(path, owner)

    def write(self, path: Path, text: str, *, user: str) -> None:
        """A file that only the server may read."""
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(text)
        self.give(path, user=user)

    def leave(self) -> None:
        """Let go of the folder, and remove it when it was a temporary one."""
        os.close(self.lock)
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self) -> None:
        """At once: data that outlive the password to them would be lost."""
        new = self.folder / "servers.json.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps({"ports": self._ports, "secrets": self._secrets}, indent=1))
        new.replace(self._file)

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            self.folder.chmod(0o711)  # the servers' users go through it, to what is theirs

    def _all_can_reach(self) -> bool:
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
                    raise FolderInUse(f"other servers already run in {self.folder}") from None
                time.sleep(0.1)
            else:
                return lock


def _random_port() -> int:
    return random.choice(PORTS)  # noqa: S311 - a port is no secret


def is_free(port: int) -> bool:
    """Whether one could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
