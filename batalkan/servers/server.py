"""What the three private servers have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from batalkan.servers.data_folder import DataFolder
from batalkan.subprocesses import Child, Reaper


class Server(ABC):
    """A private server, whose process can be killed and frozen."""

    name: ClassVar[str]
    """The server's name in PACKAGES, the user of its package, and the name of its folder, port and log."""
    scheme: ClassVar[str]
    admin: ClassVar[str] = "admin"
    child: Child

    def __init__(self, data_folder: DataFolder, services: Sequence[str], reaper: Reaper) -> None:
        self._data_folder, self._services, self._reaper = data_folder, services, reaper
        self.port = data_folder.port(self.name)
        self._folder = data_folder.make(self.name, user=self.name)

    @property
    def admin_url(self) -> str:
        return self.url(self.admin)

    def url(self, service: str) -> str:
        """The URL with the user and the password of the service."""
        return f"{self.scheme}://{service}:{self._secret(service)}@127.0.0.1:{self.port}/{self._path(service)}"

    async def kill(self) -> None:
        """SIGKILL, like a power cut. RabbitMQ stores new queues a second late: one declared since then is broken."""
        await self.child.kill()

    def pause(self) -> None:
        """Freezes the server: connections stay open, and nothing answers."""
        self.child.pause()

    def resume(self) -> None:
        """Ends the freeze."""
        self.child.resume()

    @abstractmethod
    def _path(self, service: str) -> str:
        """The path of the service's URL."""

    def _environment(self) -> dict[str, str]:
        return {"LC_ALL": "C", "TZ": "UTC"}

    def _secret(self, service: str) -> str:
        return self._data_folder.secret(self.name, service)

    def _child(self, name: str, *argv: str | Path) -> Child:
        return Child(
            name,
            argv,
            reaper=self._reaper,
            log=self._data_folder.folder / f"{self.name}.log",
            env=self._environment(),
            user=self._data_folder.user(self.name),
            cwd=self._folder,
        )

    def _write(self, file: str, text: str) -> Path:
        """Writes a file of the server's folder that only the server may read."""
        path = self._folder / file
        self._data_folder.write(path, text, user=self.name)
        return path
