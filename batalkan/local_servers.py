"""One process per service on private RabbitMQ, PostgreSQL and Redis: as `docker compose up`, without Docker."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from batalkan.keys import Keys, make_keys
from batalkan.processes import Processes
from batalkan.raw_http import RawHttpTransport
from batalkan.servers import LocalServers
from batalkan.servers.data_folder import free_ports
from runtime.http.client import http_client
from services import SERVICES, SETTINGS

DANA = "dana"


SAFE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}
"""Idempotent methods: a request may be sent again although it may have been executed (RFC 9110, 9.2.2)."""


class RoundRobin:
    """The origins of the services, rotating over the replicas of each."""

    def __init__(self, origins: Mapping[str, Sequence[str]]) -> None:
        self.names = sorted(origins)
        self._replicas = {name: deque(httpx.URL(url) for url in urls) for name, urls in origins.items()}

    def origins(self, path: str) -> tuple[httpx.URL, ...]:
        """The replicas of the service that the path names, beginning with the next in turn. Empty for an unknown
        service."""
        replicas = self._replicas.get(path.partition("/")[2].partition("/")[0], deque())  # empty for `*`
        replicas.rotate(-1)
        return tuple(replicas)


class PrefixRouter(httpx.AsyncBaseTransport):
    """Sends each request to the service that its path names, to the replicas in turn.

    It retries as nginx does in compose: another replica gets the request if the first accepts no connection, and, for
    an idempotent method, if the first breaks off.
    """

    def __init__(self, origins: Mapping[str, Sequence[str]]) -> None:
        self._turns = RoundRobin(origins)
        self._http = RawHttpTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        origins = self._turns.origins(request.url.path)
        if not origins:
            return httpx.Response(404)
        *others, last = origins
        for origin in others:
            with suppress(httpx.ConnectError, *((httpx.ReadError,) if request.method in SAFE else ())):
                return await self._ask(origin, request)
        return await self._ask(last, request)

    async def _ask(self, origin: httpx.URL, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme=origin.scheme, host=origin.host, port=origin.port)
        return await self._http.handle_async_request(request)

    async def aclose(self) -> None:
        await self._http.aclose()


@dataclass(frozen=True)
class LocalDeployment:
    """The running servers and processes. `database_urls` give access to the databases."""

    servers: LocalServers
    processes: Processes
    origins: Mapping[str, Sequence[str]]
    """`http://host:port` of each replica of each service, and of the DANA simulator (`dana`)."""
    database_urls: Mapping[str, str]
    keys: Keys
    dana: httpx.AsyncClient
    """The control interface of the DANA simulator."""

    def origin(self, service: str) -> str:
        """The origin of the service's first replica."""
        return self.origins[service][0]

    def client(self, *, timeout: float = 10.0) -> httpx.AsyncClient:
        """A client for all services as one origin, as behind the gateway; `timeout` in seconds."""
        return httpx.AsyncClient(transport=self.transport(), base_url="http://localhost", timeout=timeout)

    @property
    def public(self) -> Mapping[str, Sequence[str]]:
        """The origins that are reachable from outside: the services, without the simulator."""
        return {name: urls for name, urls in self.origins.items() if name != DANA}

    def transport(self) -> PrefixRouter:
        """A transport that routes by the first segment of the path."""
        return PrefixRouter(self.public)


@asynccontextmanager
async def running(
    folder: Path | None = None,
    *,
    servers: LocalServers | None = None,
    services: Sequence[str] = SERVICES,
    replicas: Mapping[str, int] | None = None,
    demonstration: bool = True,
    allowed_hosts: Collection[str] = (),
    dana_timeout: float = 8.0,
    extra: Mapping[str, Mapping[str, str]] | None = None,
    say: Callable[[str], None] = print,
) -> AsyncIterator[LocalDeployment]:
    """Starts the servers, then the processes, and waits until all are ready; stops them at the end of the block.

    Data, keys and logs are in `folder`, or in that of the servers for None. `servers`: those that already run;
    `replicas`: processes for each service; `allowed_hosts`: host names besides this machine's; `dana_timeout`: seconds
    that refunds waits for DANA; `extra`: further environment variables for each service; `say` receives a line when a
    process crashes and is restarted. Raises `ServersMissing`, `FolderInUse`, `ChildFailed`.
    """
    async with AsyncExitStack() as stack:
        if servers is None:
            servers = await stack.enter_async_context(LocalServers(folder / "servers" if folder else None))
        folder = folder or servers.folder
        keys = await asyncio.to_thread(make_keys, folder / "keys")
        counts = {name: (replicas or {}).get(name, 1) for name in services} | {DANA: 1}
        free = free_ports()
        ports = {name: [next(free) for _ in range(count)] for name, count in counts.items()}
        origins = {name: [f"http://127.0.0.1:{port}" for port in taken] for name, taken in ports.items()}
        common = {
            "HOST": "127.0.0.1",
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "info"),
            "DEMONSTRATION": "1" if demonstration else "0",
            "TRUSTED_PROXIES": "127.0.0.1",  # the gateway and web forward the client's address
            "ALLOWED_HOSTS": ",".join(allowed_hosts),
            **{name: os.environ.get(name, "") for name in SETTINGS},
            **{name: value for name, value in os.environ.items() if name.startswith("OTEL_")},
            "DANA_TIMEOUT": str(dana_timeout),
            "DANA_JOURNAL": str(folder / "dana.sqlite"),
        }
        processes = await stack.enter_async_context(Processes(folder / "logs", say=say))
        for name, taken in ports.items():
            settings = {**common, **_own_settings(name, servers, keys, origins), **(extra or {}).get(name, {})}
            for number, port in enumerate(taken, start=1):
                processes.add(name if number == 1 else f"{name}-{number}", {**settings, "PORT": str(port)})
        await processes.start()
        dana = http_client(base_url=f"{origins[DANA][0]}/control")
        await stack.enter_async_context(dana)
        urls = {name: servers.postgres.url(name) for name in services}
        yield LocalDeployment(servers, processes, origins, urls, keys, dana)


def _own_settings(name: str, servers: LocalServers, keys: Keys, origins: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The settings of one process. A private key is given only to the service that signs with it."""
    if name == DANA:
        return {"DANA_PARTNER_KEY": str(keys.dana_partner_key)}
    shared = {**servers.environment(name), "TOKEN_KEYS": str(keys.token_keys)}
    match name:
        case "accounts":
            return {**shared, "SIGNING_KEY": str(keys.signing_key)}
        case "refunds":
            return {**shared, "DANA_URL": origins[DANA][0], "DANA_PRIVATE_KEY": str(keys.dana_private_key)}
        case "web":
            others = {other: urls[0] for other, urls in origins.items() if other not in (DANA, name)}
            return shared | {f"{other.upper()}_URL": url for other, url in others.items()}
    return shared
