"""Private RabbitMQ, Redis and PostgreSQL from the machine's own packages, on random loopback ports, without Docker.

install(Path("install.log"))                       # once: installs what is missing, with apt-get
async with LocalServers(Path(".batalkan/servers")) as servers:
    servers.environment("orders")                  # DATABASE_URL, BROKER_URL and REDIS_URL of a service
    await servers.rabbitmq.kill()                  # a fault ...
    await servers.rabbitmq.start()                 # ... and its end: same port, same data
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from batalkan.servers.data_folder import DataFolder, FolderInUse
from batalkan.servers.packages import ServersMissing, install, missing
from batalkan.servers.postgres import Postgres
from batalkan.servers.rabbitmq import RabbitMQ
from batalkan.servers.redis import Redis
from batalkan.subprocesses import Reaper, run_all
from services import SERVICES

__all__ = ["FolderInUse", "LocalServers", "ServersMissing", "install", "missing"]


class LocalServers:
    """The three servers, with a database, a broker user and a Redis user for every service.

    Each of `postgres`, `rabbitmq` and `redis` has `start`, `stop`, `kill`, `pause`, `resume`, `url(service)`,
    `admin_url` and `port`. No server outlives this process, even if it is killed.
    """

    def __init__(self, folder: Path | None = None, *, services: Sequence[str] = SERVICES) -> None:
        """Without a folder, the data are in a temporary one, removed at the end. Raises ServersMissing, FolderInUse."""
        if absent := missing():
            raise ServersMissing(f"not installed: {', '.join(absent)}; install them with: make servers")
        self._data_folder = DataFolder(folder)
        self.folder = self._data_folder.folder
        remove = self.folder if self._data_folder.temporary else None
        self._reaper = Reaper(open_files=[self._data_folder.lock], remove=remove)
        self.postgres = Postgres(self._data_folder, services, self._reaper)
        self.redis = Redis(self._data_folder, services, self._reaper)
        self.rabbitmq = RabbitMQ(self._data_folder, services, self._reaper)

    def environment(self, service: str) -> dict[str, str]:
        """The settings with a service's URLs."""
        return {
            "DATABASE_URL": self.postgres.url(service),
            "BROKER_URL": self.rabbitmq.url(service),
            "REDIS_URL": self.redis.url(service),
        }

    async def start(self) -> None:
        """Starts all three concurrently. Raises ChildFailed with the log of the server that did not start."""
        try:
            await run_all(self.rabbitmq.start(), self.postgres.start(), self.redis.start())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops all three cleanly; the data stay, unless the folder is a temporary one."""
        await asyncio.gather(self.rabbitmq.stop(), self.postgres.stop(), self.redis.stop())
        self._reaper.close()
        self._data_folder.leave()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
