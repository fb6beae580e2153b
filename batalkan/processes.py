"""A process supervisor: starts one process per service, waits until it is ready, and restarts it after a crash."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

import services
import simulators
from batalkan.raw_http import RawHttpTransport
from batalkan.subprocesses import Child, Reaper, run_all

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""
BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before a crashed process is restarted; after LONG_LIFE seconds of life it begins again with the first."""
LONG_LIFE = 30.0
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH")


@dataclass
class Watched:
    """One process, with the task that restarts it; no task: it is meant to be stopped."""

    child: Child
    ready_url: str
    restarts: int = 0
    watcher: asyncio.Task[None] | None = None


class Processes:
    """Runs a process for each name, with its log in `logs`/NAME.log. No process outlives this one, however it ends."""

    def __init__(self, logs: Path, *, say: Callable[[str], None] = print) -> None:
        """`say` receives a line for each crash."""
        self._logs, self._say = logs, say
        self._reaper = Reaper()
        self.watched: dict[str, Watched] = {}

    def add(self, name: str, environment: Mapping[str, str], *, module: str | None = None) -> None:
        """Adds a process: a service, `dana`, or a replica such as `orders-2`, with its own PORT.

        The process gets `environment` only: it inherits no setting from this process.
        """
        service = name.partition("-")[0]
        simulator = service == "dana"
        module = module or (f"simulators.{service}" if simulator else f"services.{service}")
        path = "/health/live" if simulator else f"/{service}/health/ready"
        host = environment.get("HOST", "127.0.0.1")
        port = environment.get("PORT", (services.PORTS | simulators.PORTS).get(service))
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        log = self._logs / f"{name}.log"
        log.unlink(missing_ok=True)
        child = Child(
            name,
            [sys.executable, "-m", module],
            reaper=self._reaper,
            log=log,
            env={**inherited, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **environment},
        )
        self.watched[name] = Watched(child, f"http://{host}:{port}{path}")

    async def start(self, *names: str, timeout: float = 60) -> None:
        """Starts these processes (or all) concurrently and waits until they are ready. Raises ChildFailed."""
        await run_all(*(self._start(self.watched[name], timeout) for name in names or self.watched))

    async def ready(self, *names: str, timeout: float = 60) -> None:
        """Waits until these processes (or all) are ready, through crashes and restarts. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            for name in names or self.watched:
                while not await is_ready(self.watched[name].ready_url):
                    await asyncio.sleep(0.05)

    async def kill(self, name: str) -> None:
        """SIGKILL, as in a crash: the process is restarted."""
        await self.watched[name].child.kill()

    def pause(self, name: str) -> None:
        """Freezes the process: its connections stay open, and nothing answers."""
        self.watched[name].child.pause()

    def resume(self, name: str) -> None:
        self.watched[name].child.resume()

    async def restart(self, name: str) -> None:
        """Stops the process, starts it, and waits until it is ready."""
        await self.stop(name)
        await self.start(name)

    async def stop(self, *names: str) -> None:
        """Stops these processes (or all) concurrently: SIGTERM, and after GRACE SIGKILL."""
        await run_all(*(self._stop(self.watched[name]) for name in names or self.watched))

    async def _start(self, watched: Watched, timeout: float) -> None:
        watched.child.spawn()
        await watched.child.until(lambda: is_ready(watched.ready_url), timeout)
        watched.watcher = asyncio.create_task(self._watch(watched))

    async def _stop(self, watched: Watched) -> None:
        if watched.watcher is not None:
            watched.watcher.cancel()
            watched.watcher = None
        await watched.child.stop(GRACE)

    async def _watch(self, watched: Watched) -> None:
        """Runs while the process is meant to run: an end is a crash."""
        crashes, loop = 0, asyncio.get_running_loop()
        while True:
            began = loop.time()
            code = await watched.child.wait()
            crashes = 1 if loop.time() - began > LONG_LIFE else crashes + 1
            pause = BACKOFF[min(crashes, len(BACKOFF)) - 1]
            self._say(f"{watched.child.name} ended with exit code {code}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            watched.child.spawn()
            watched.restarts += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self._reaper.close()


async def is_ready(url: str) -> bool:
    """Whether one GET, on a connection of its own, is answered with 200 within 2 seconds."""
    http = RawHttpTransport()
    try:
        request = httpx.Request("GET", url, extensions={"timeout": {"read": 2.0}})
        return (await http.handle_async_request(request)).status_code == 200
    except httpx.TransportError:
        return False
    finally:
        await http.aclose()
