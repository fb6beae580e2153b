"""Runs one service as a process."""

import gc
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn, Protocol

import uvicorn
from fastapi import FastAPI

from runtime.http.connections import BoundedHttp
from runtime.live.server import WEBSOCKETS
from runtime.messaging.bus import Bus
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.observability.telemetry import log_to_stderr
from runtime.settings import Environment, SettingInvalid, SettingMissing, Settings
from runtime.shutdown.server import GRACE, KEEP_ALIVE, DrainingServer, serve_until_cancelled
from runtime.shutdown.signals import run_to_end
from runtime.storage import embedded
from runtime.storage.embedded import DataFolderUnusable, PostgresFailed

WITHIN = 12.0
"""Seconds for a service to end: `GRACE` for requests, and as much for the consumer's batch."""


def open_bus(url: str, client: str) -> Bus:
    """The bus of the URL: `amqp://…`, or `memory://` inside this process."""
    return MemoryBus() if url.startswith("memory:") else RabbitBus(url, client)


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The `postgresql://` URL of the service's database; runs the embedded server if the URL names it."""
    if not settings.database_url.startswith(embedded.SCHEME):
        yield settings.database_url
        return
    async with embedded.running(settings.database_url, [settings.service]) as urls:
        await embedded.create_missing(urls)
        yield urls[settings.service]


class Built(Protocol):
    """The result of a service's `build`."""

    @property
    def app(self) -> FastAPI:
        """The HTTP interface; its lifespan runs the service."""

    def serve_now(self) -> object:
        """Has it accept requests without waiting for the database."""


def serve(service: str, build: Callable[[Settings, Environment, str, Bus], Built], port: int = 0) -> None:
    """Reads the environment, connects, builds, serves until SIGTERM or SIGINT, and finishes open work."""
    env = Environment.of_process()

    async def run(settings: Settings) -> None:
        async with database_url(settings) as url:
            built = build(settings, env, url, open_bus(settings.broker_url, service))
            gc.freeze()  # these objects stay: collections can skip them
            await listen(built, settings.host, settings.port, settings.trusted_proxies)

    try:
        settings = Settings.read(service, env, port)
        log_to_stderr(service, settings.log_level, traced=settings.traced)
        run_to_end(run(settings), service, within=WITHIN)
    except SettingInvalid as invalid:
        refuse(service, invalid)
    except (SettingMissing, DataFolderUnusable, PostgresFailed) as error:
        sys.exit(f"{service}: {error}")


def refuse(name: str, wrong: Exception) -> NoReturn:
    """Exits with one line and code 2, for wrong settings."""
    sys.stderr.write(f"{name}: {wrong}\n")
    sys.exit(2)


async def listen(built: Built, host: str, port: int, trusted_proxies: Sequence[str]) -> None:
    """Serves the service until a signal, then lets its lifespan end.

    Proxies in the networks `trusted_proxies` may set address and scheme of a client. Exits with code 1 if the lifespan
    ended with an error.
    """
    config = uvicorn.Config(
        built.app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(trusted_proxies),
        http=BoundedHttp,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        **WEBSOCKETS,
    )
    server = DrainingServer(config)
    await serve_until_cancelled(server, hurry=built.serve_now)
    if server.lifespan.should_exit:
        sys.exit(1)
