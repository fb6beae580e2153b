"""The whole system in this process, on a port that stays the same when it is started again."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import httpx

from batalkan import system
from batalkan.system import System, Where
from lab.lessons import stage
from tests.harness.accounts import QUICK
from tests.harness.serving import served


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
        self._where = Where(folder, dana_timeout=2, settling=0.1)
        self._stack = AsyncExitStack()
        self._port = 0
        self.system: System

    async def start(self) -> None:
        self._stack.enter_context(patch("services.accounts.passwords.PasswordHasher", lambda: QUICK))
        self.system = await self._stack.enter_async_context(system.running(self._where))
        self.url = await self._stack.enter_async_context(served(self.system.app, self._port))
        self._port = httpx.URL(self.url).port or 0

    async def stop(self) -> None:
        await self._stack.aclose()

    async def advance(self, by: timedelta) -> None:
        await self.system.advance_clock(by)


@asynccontextmanager
async def new_site() -> AsyncIterator[Site]:
    """A site with new databases, which runs inside the block. Copies of prepared ones save the migrations' seconds."""
    with TemporaryDirectory(prefix="batalkan-browser-") as made:
        await asyncio.to_thread(stage.copy, await stage.prepared(), folder := Path(made) / "data")
        site = Site(folder)
        await site.start()
        yield site
        await site.stop()
