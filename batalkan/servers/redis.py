"""A private Redis with one ACL user per service, restricted to its own keys and channels."""

import hashlib
from collections.abc import Sequence

import redis.asyncio
from redis.exceptions import RedisError

from batalkan.permissions import redis_user
from batalkan.servers.data_folder import DataFolder
from batalkan.servers.packages import need
from batalkan.servers.server import Server
from batalkan.subprocesses import Child, Reaper

USER = "redis"


class Redis(Server):
    def __init__(self, data_folder: DataFolder, services: Sequence[str], reaper: Reaper) -> None:
        self._data_folder, self._services = data_folder, services
        self.port = data_folder.port("redis")
        self._folder = data_folder.make("redis", user=USER)
        self.child = Child(
            "Redis",
            [need("redis"), self._folder / "redis.conf"],
            reaper=reaper,
            log=data_folder.folder / "redis.log",
            env={"LC_ALL": "C", "TZ": "UTC"},
            user=data_folder.user(USER),
            cwd=self._folder,
        )

    @property
    def admin_url(self) -> str:
        return self.url("admin")

    def url(self, service: str) -> str:
        return f"redis://{service}:{self._data_folder.secret('redis', service)}@127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Starts it; ready when it answers PING."""
        self._data_folder.write(self._folder / "redis.conf", self._configuration(), user=USER)
        self._data_folder.write(self._folder / "users.acl", self._users(), user=USER)
        self.child.spawn()
        await self.child.until(self._answers, timeout=30)

    async def stop(self) -> None:
        await self.child.stop(10)

    def _configuration(self) -> str:
        return f'bind 127.0.0.1\nport {self.port}\ndir "{self._folder}"\naclfile users.acl\nsave ""\nappendonly yes\n'

    def _users(self) -> str:
        admin = hashlib.sha256(self._data_folder.secret("redis", "admin").encode()).hexdigest()
        lines = ["user default off", f"user admin on #{admin} ~* &* +@all"]
        lines += [redis_user(name, self._data_folder.secret("redis", name)) for name in self._services]
        return "\n".join(lines) + "\n"

    async def _answers(self) -> bool:
        client = redis.asyncio.Redis.from_url(self.admin_url, socket_timeout=2, socket_connect_timeout=2, retry=None)
        try:
            return bool(await client.ping())
        except RedisError:
            return False
        finally:
            await client.aclose()
