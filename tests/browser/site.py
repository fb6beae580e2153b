"""The whole system in this process, on a port that stays the same when it is started again."""

import asyncio
import socket
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import httpx
import uvicorn
from argon2 import PasswordHasher

from batalkan import system
from batalkan.operate import advance_clock
from batalkan.system import System, Where
from runtime.live.server import WEBSOCKETS


class BrowserTarget(ABC):
    """The system that browsers visit, in this process or in containers."""

    url: str

    @abstractmethod
    async def stop(self) -> None:
        """Ends at least what conversations go through, but not the data."""

    @abstractmethod
    async def start(self) -> None:
        """Serves, with the data that there are."""

    @abstractmethod
    async def advance(self, by: timedelta) -> None:
        """Moves the time of all services."""

    async def make_dana(self, weather: str) -> None:
        """How DANA is from now on: `well`, `down`, …"""
        async with httpx.AsyncClient(base_url=self.url) as http:
            (await http.put("/refunds/demonstration/dana", json={"weather": weather})).raise_for_status()


class Site(BrowserTarget):
    """All services in this process."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._where = Where(folder, dana_timeout=0.5, settling=0.1)
        self._stack = AsyncExitStack()
        self.system: System

    async def start(self) -> None:
        quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self._stack.enter_context(patch("services.accounts.passwords.PasswordHasher", lambda: quick))
        self.system = await self._stack.enter_async_context(system.running(self._where))
        config = uvicorn.Config(
            self.system.app, port=self._port, log_config=None, access_log=False, lifespan="off",
            timeout_graceful_shutdown=1, **WEBSOCKETS,
        )  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())

        async def stop() -> None:
            server.should_exit = True
            await serving

        self._stack.push_async_callback(stop)
        while not server.started:
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def advance(self, by: timedelta) -> None:
        await advance_clock(self.system.database_urls, by)
        for service in self.system.services.values():
            service.uow.wake_deadlines()
