"""The system under test on real servers: processes to kill, a client that retries, and the check afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from unittest.mock import patch
from urllib.parse import urlsplit

import aio_pika
import httpx

from batalkan import local_servers
from batalkan.invariants import Evidence, Snapshot
from batalkan.local_servers import LocalDeployment
from contracts import events_for
from runtime.messaging.bus import Bus
from services import SERVICES
from tests.harness.prometheus import Prometheus, prometheus
from tests.harness.system import SystemUnderTest
from tests.harness.waiting import eventually

T = TypeVar("T")

CONSUMERS = tuple(name for name in SERVICES if events_for(name))

RETRY = 0.1
"""Seconds after which a client retries."""
SOON = timedelta(minutes=1)


class InternalError(Exception):
    """A service answered 500, which no fault of a server excuses."""


class RetryingTransport(httpx.AsyncBaseTransport):
    """A transport that retries, for a while, after a broken connection or a 5xx. With `stale` also after a 404: what is
    asked for exists, but for a moment a primary that wakes up, and is none any more, answers from what it knew."""

    def __init__(self, transport: httpx.AsyncBaseTransport, *, stale: bool = False) -> None:
        self._transport = transport
        self._stale = stale
        self.again = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        async with asyncio.timeout(240):
            while True:
                try:
                    request.url = url
                    response = await self._transport.handle_async_request(request)
                except httpx.TransportError:
                    pass
                else:
                    if response.status_code == 500:
                        raise InternalError(f"{request.method} {request.url}")
                    if response.status_code < 500 and not (self._stale and response.status_code == 404):
                        return response
                    await response.aclose()  # or its connection is never used again
                self.again += 1
                await asyncio.sleep(RETRY)

    async def aclose(self) -> None:
        await self._transport.aclose()


class LabSystem:
    """The running system, and access to its parts."""

    def __init__(
        self, running: LocalDeployment, base: SystemUnderTest, plain: httpx.AsyncClient, alerts: Prometheus
    ) -> None:
        self.running = running
        self.base = base
        self.plain = plain
        """A client that does not retry."""
        self.alerts = alerts
        self._seen = 0
        self._own: dict[str, Any] = {}

    @property
    def servers(self) -> dict[str, Any]:
        """The servers by name, each with `kill` and `start`."""
        held = self.running.servers
        return {"rabbitmq": held.rabbitmq, "postgres": held.postgres, "redis": held.redis}

    async def ready(self, service: str) -> tuple[int, dict[str, bool]]:
        """The readiness of the service: HTTP status, and each part."""
        answer = await self.plain.get(f"/{service}/health/ready")
        parts: dict[str, bool] = answer.json().get("parts", {})
        return answer.status_code, parts

    async def rearm(self, name: str, environment: Mapping[str, str], *, module: str = "") -> None:
        """Restarts a process with other settings, or as another program; `repair` undoes this."""
        child = self.running.processes.watched[name].child
        argv, env = self._own.setdefault(name, (child.argv, child.env))
        child.argv = [*argv[:2], module, *argv[2:]] if module else argv
        child.env = {**(env or {}), **environment}
        await self.running.processes.restart(name)

    async def disarm(self) -> None:
        """Restarts all rearmed processes with their original settings."""
        if not self._own:
            return
        await self.running.processes.stop(*self._own)
        for name, (argv, environment) in self._own.items():
            child = self.running.processes.watched[name].child
            child.argv, child.env = argv, environment
        await self.running.processes.start(*self._own)
        self._own.clear()

    async def repair(self) -> None:
        """Restores the system after a test: all processes and servers run and are ready."""
        for name in self.running.processes.watched:
            self.running.processes.resume(name)
        for server in self.servers.values():
            server.resume()
            if not server.child.running:
                await server.start()
        await self.disarm()
        processes = self.running.processes
        for name, process in processes.watched.items():
            if process.watcher is None:
                await processes.restart(name)
        await processes.ready()

    async def left_in_queues(self) -> dict[str, int]:
        """The number of messages in each queue that is not empty."""
        left = {}
        async with await aio_pika.connect(self.running.servers.rabbitmq.admin_url) as connection:
            channel = await connection.channel()
            for name in (f"{service}{end}" for service in CONSUMERS for end in ("", ".dead")):
                queue = await channel.declare_queue(name, passive=True)
                left[name] = queue.declaration_result.message_count or 0
        return {name: count for name, count in left.items() if count}

    async def settled(self, within: float = 60.0) -> Snapshot:
        """The snapshot once nothing is in flight; moves the clock so that deadlines fire."""

        async def look() -> Snapshot | None:
            await self.base.advance(SOON)
            try:
                return await self.base.settled(1.0, Evidence())
            except TimeoutError:
                return None

        snapshot = await eventually(look, within)
        assert await self.left_in_queues() == {}
        return snapshot

    def new_errors(self) -> list[str]:
        """The errors that the services have logged since the last call: no fault of a server may cause one."""
        found: list[str] = []
        for name in SERVICES:
            for line in Path(self.running.processes.watched[name].child.log).read_text().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    found.append(f"{name}: {line}")
                    continue
                if entry["level"] in ("error", "critical"):
                    found.append(f"{name}: {entry['message']}\n{entry.get('exception', '')}")
        new, self._seen = found[self._seen :], len(found)
        return new


@asynccontextmanager
async def open_lab_system(
    observe: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] = RetryingTransport,
    replicas: Mapping[str, int] | None = None,
    timeout: float = 5.0,
) -> AsyncIterator[LabSystem]:
    """Processes of each service, restarted at once after a crash, on private servers; the transport of all users goes
    through `observe`, and they wait `timeout` seconds for an answer."""
    start = local_servers.running(None, replicas=replicas, dana_timeout=1.0, say=lambda _: None)
    with patch("batalkan.processes.BACKOFF", (0.05,)):
        async with start as running, running.client(timeout=5) as plain, alerts_of(running) as alerts:
            transport = observe(running.transport())
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=timeout) as http:
                base = SystemUnderTest(http, running.dana, running.database_urls, no_bus, running.keys, full=True)
                yield LabSystem(running, base, plain, alerts)


@asynccontextmanager
async def alerts_of(running: LocalDeployment) -> AsyncIterator[Prometheus]:
    """Prometheus with the alert rules, which scrapes every replica of every service."""
    targets = {f"/{name}/metrics": [urlsplit(url).netloc for url in urls] for name, urls in running.public.items()}
    with TemporaryDirectory() as folder:
        async with prometheus(Path(folder), targets) as alerts:
            yield alerts


def no_bus(service: str) -> Bus:
    """The laboratory connects to RabbitMQ itself; asking the system under test for a bus is a mistake."""
    raise LookupError(f"{service} has a bus of its own")
