"""A private Redis with one ACL user per service, restricted to its own keys and channels."""

import hashlib
from collections.abc import Sequence

import redis.asyncio
from redis.exceptions import RedisError

from batalkan.permissions import redis_user
from batalkan.servers.data_folder import DataFolder
from batalkan.servers.packages import need
from batalkan.servers.server import Server
from batalkan.subprocesses import Reaper


class Redis(Server):
    name, scheme = "redis", "redis"

    def __init__(self, data_folder: DataFolder, services: Sequence[str], reaper: Reaper) -> None:
        super().__init__(data_folder, services, reaper)
        self.child = self._child("Redis", need("redis"), self._folder / "redis.conf")

    async def start(self) -> None:
        """Starts it; ready when it answers PING."""
        files = f'port {self.port}\ndir "{self._folder}"\naclfile users.acl\n'
        self._write("redis.conf", f'bind 127.0.0.1\n{files}save ""\nappendonly yes\n')
        self._write("users.acl", self._users())
        self.child.spawn()
        await self.child.until(self._answers, timeout=30)

    async def stop(self) -> None:
        await self.child.stop(10)

    def _path(self, service: str) -> str:
        return "0"

    def _users(self) -> str:
        admin = hashlib.sha256(self._secret("admin").encode()).hexdigest()
        lines = ["user default off", f"user admin on #{admin} ~* &* +@all"]
        lines += [redis_user(name, self._secret(name)) for name in self._services]
        return "\n".join(lines) + "\n"

    async def _answers(self) -> bool:
        client = redis.asyncio.Redis.from_url(self.admin_url, socket_timeout=2, socket_connect_timeout=2, retry=None)
        try:
            return bool(await client.ping())
        except RedisError:
            return False
        finally:
            await client.aclose()
