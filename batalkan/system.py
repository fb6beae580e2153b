"""All services in one process, on one port: for demonstrations and for tests."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit, urlunsplit

import httpx
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import simulators.dana.app as dana
from batalkan.keys import Keys, make_keys
from batalkan.waiting import Say, waiting, waits_for
from runtime import urls
from runtime.errors import NotFound
from runtime.http.app import wants_page
from runtime.http.hosts import CheckHost
from runtime.http.problems import problem_response
from runtime.messaging.bus import Bus
from runtime.observability.trace_context import new_id
from runtime.serve import open_bus
from runtime.service import Service
from runtime.settings import Environment, Settings
from runtime.storage import clock, embedded
from runtime.storage.database import is_transient
from services import SERVICES, SETTINGS

PARTNER = "batalkan"
CREATING = 10.0
"""Seconds for one attempt to create the databases."""


@dataclass(frozen=True)
class Where:
    """Where the parts are: the data folder, and the URLs that choose the servers."""

    folder: Path
    database_url: str = ""
    """`embedded://…` (by default in `folder`), or `postgresql://…` of a server on which databases can be created."""
    broker_url: str = "memory://"
    redis_url: str = "memory://"
    demonstration: bool = True
    market: bool = False
    """Whether the market of `batalkan seed` is added once everything serves; in demonstration mode only."""
    dana_timeout: float = 8.0
    settling: float = 2.0
    """Real seconds after the 24 hours in which customer service waits for events that are still in flight."""
    allowed_hosts: frozenset[str] = frozenset()
    trusted_proxies: tuple[str, ...] = ()
    """Networks; see TRUSTED_PROXIES."""


class OneOrigin:
    """Routes each path to its service by its prefix, as the gateway does."""

    def __init__(self, apps: Mapping[str, ASGIApp], allowed_hosts: Collection[str] = ()) -> None:
        self._apps = apps
        self._checked = CheckHost(self._choose, allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._checked(scope, receive, send)

    async def _choose(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("start the services with `system.running`; this app has no lifespan")
        prefix = scope["path"].partition("/")[2].partition("/")[0]  # empty for `*`
        app: ASGIApp | None = self._apps.get(prefix)
        if app is None and wants_page(scope):
            app = self._apps.get("web")  # its answer is the "not found" page
        if scope["path"] == "/":
            app = RedirectResponse("/web/", 302)
        elif app is None:
            names = ", ".join(sorted(self._apps))
            app = problem_response(NotFound(f"No service has this path; the services are {names}."))
        elif prefix == "dana":
            scope = {**scope, "path": scope["path"].removeprefix("/dana")}
        await app(scope, receive, send)


@dataclass(frozen=True)
class System:
    """The running services. `app` serves all of them; `database_urls` give access to the databases."""

    app: OneOrigin
    services: Mapping[str, Service]
    database_urls: Mapping[str, str]
    keys: Keys
    dana: httpx.AsyncClient
    """The control interface of the DANA simulator."""

    def hurry(self) -> None:
        """Fires due deadlines now; the services also poll them every two seconds."""
        for service in self.services.values():
            service.uow.wake_deadlines()

    async def advance_clock(self, by: timedelta) -> None:
        """Moves the clock of all services forward. Raises `runtime.storage.clock.ClockFixed`."""
        for service in self.services.values():
            async with service.uow.database.connection() as connection:
                await clock.advance(connection, by)
        self.hurry()


@asynccontextmanager
async def running(
    where: Where, bus_tap: Callable[[Bus], Bus] = lambda bus: bus, say: Say = lambda line: None
) -> AsyncIterator[System]:
    """Starts all services in this process and waits until they are ready; stops them at the end of the block.

    `bus_tap` may wrap the bus, to see its events; `say` gets a line for each server that is not ready. Raises
    `runtime.storage.embedded.DataFolderUnusable` and `PostgresFailed`.
    """
    async with AsyncExitStack() as stack:
        stack.callback(_claim(where.folder).close)
        database_urls = await _databases(where, say, stack)
        keys = await asyncio.to_thread(make_keys, where.folder / "keys")
        simulator = dana.build(
            dana.Settings(
                PARTNER,
                keys.dana_partner_key.read_bytes(),
                where.folder / "dana.sqlite",
                control=where.demonstration,
                allowed_hosts=where.allowed_hosts,
            )
        )
        env = Environment(
            {
                "TOKEN_KEYS": str(keys.token_keys),
                "SIGNING_KEY": str(keys.signing_key),
                "DANA_PRIVATE_KEY": str(keys.dana_private_key),
                "DANA_URL": "http://dana",
                "DANA_TIMEOUT": str(where.dana_timeout),
                "SETTLING": str(where.settling),
                **{name: os.environ.get(name, "") for name in SETTINGS},
            }
        )
        traced = Environment.of_process().traced()
        shared = open_bus(where.broker_url, "batalkan")
        to_dana = httpx.ASGITransport(simulator)
        apps: dict[str, ASGIApp] = {"dana": simulator} if where.demonstration else {}
        origin = OneOrigin(apps, where.allowed_hosts)
        from_within: Any = ProxyHeadersMiddleware(cast(Any, origin), "127.0.0.1")
        """For the requests of `web`, which forwards the client's address."""

        # One Redis for all services of this process, under a random name.
        redis_url = f"memory://{new_id().hex}" if where.redis_url == "memory://" else where.redis_url

        def settings(name: str) -> Settings:
            return Settings(
                name,
                database_urls[name],
                where.broker_url,
                redis_url,
                "",
                0,
                where.demonstration,
                "info",
                allowed_hosts=where.allowed_hosts,
                traced=traced,
            )

        transports: dict[str, Any] = {
            "refunds": {"dana_transport": to_dana},
            "web": {"transport": httpx.ASGITransport(from_within)},
        }
        built: dict[str, Service] = {
            name: import_module(f"services.{name}.main").build(
                settings(name), env, database_urls[name], bus_tap(shared), **transports.get(name, {})
            )
            for name in SERVICES
        }
        apps |= {name: service.app for name, service in built.items()}
        await stack.enter_async_context(simulator.router.lifespan_context(simulator))
        control = httpx.AsyncClient(transport=to_dana, base_url="http://dana/control")
        await stack.enter_async_context(control)
        for service in built.values():
            await stack.enter_async_context(service.running())
        ready = asyncio.gather(*(service.until_ready() for service in built.values()))
        await waiting(ready, lambda: _missing(where, built.values()), say)
        yield System(origin, built, database_urls, keys, control)


async def _missing(where: Where, built: Collection[Service]) -> AsyncIterator[str]:
    """A line for each server that the services wait for."""
    found = {part for service in built for part in await service.missing()}
    for part, thing, url in (
        ("database", "PostgreSQL", where.database_url),
        ("broker", "RabbitMQ", where.broker_url),
        ("redis", "Redis", where.redis_url),
    ):
        if part in found and urls.host_port(url):
            yield await waits_for(thing, url)


def _claim(folder: Path) -> IO[str]:
    """Locks the folder for this process while the file is open. Raises `DataFolderUnusable`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        claim = (folder / "in-use").open("w")
    except OSError as error:
        raise embedded.DataFolderUnusable(f"{folder}: {error.strerror}") from error
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        claim.close()
        raise embedded.DataFolderUnusable(
            f"{folder} is in use by another process; choose another with --data"
        ) from None
    return claim


async def _databases(where: Where, say: Say, stack: AsyncExitStack) -> Mapping[str, str]:
    """The URL of each service's database; without another server, the embedded one runs until `stack` stops it."""
    url = where.database_url or f"{embedded.SCHEME}{where.folder.absolute()}"
    if url.startswith(embedded.SCHEME):
        found = await stack.enter_async_context(embedded.running(url, SERVICES))
    else:
        found = {name: urlunsplit(urlsplit(url)._replace(path=f"/{name}")) for name in SERVICES}

    async def unreachable() -> AsyncIterator[str]:
        if urls.host_port(url):
            yield await waits_for("PostgreSQL", url)

    await waiting(_create_missing(found, url), unreachable, say)
    return found


async def _create_missing(found: dict[str, str], url: str) -> None:
    """Creates the missing databases, as soon as the server accepts connections."""
    while True:
        try:
            async with asyncio.timeout(CREATING):
                return await embedded.create_missing(found)
        except Exception as error:
            if not is_transient(error):
                where = urls.host_port(url) or "the embedded one"
                raise embedded.PostgresFailed(f"PostgreSQL ({where}) refuses the connection: {error}") from error
        await asyncio.sleep(0.5)
