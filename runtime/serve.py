"""Running one service as a process of its own."""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import uvicorn
import uvloop
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime import embedded
from runtime.bus import Bus
from runtime.bus.memory import MemoryBus
from runtime.bus.rabbit import RabbitBus
from runtime.embedded import DataFolderUnusable, PostgresFailed
from runtime.settings import Environment, SettingInvalid, SettingMissing, Settings
from runtime.stopping import GRACE, KEEP_ALIVE, Server
from runtime.telemetry import log_to_stderr
from runtime.websockets import WEBSOCKETS

BETWEEN_COLLECTIONS = 10_000
"""New objects until the next collection. With Python's own 700 there are several for each request, 5 % of the time, and
they find little: nearly everything goes by its reference count."""


def open_bus(url: str, client: str) -> Bus:
    """The bus of the URL: `amqp://…`, or `memory://`, which reaches no further than this process."""
    return MemoryBus() if url.startswith("memory:") else RabbitBus(url, client)


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The `postgresql://` URL of the service's database; the embedded server runs meanwhile, if that is asked for."""
    if not settings.database_url.startswith(embedded.SCHEME):
        yield settings.database_url
        return
    async with embedded.running(settings.database_url, [settings.service]) as urls:
        await embedded.create_missing(urls)
        yield urls[settings.service]


class Built(Protocol):
    """What a service's `build` returns."""

    @property
    def app(self) -> FastAPI:
        """The HTTP interface, whose lifespan is the service's life."""


def serve(service: str, build: Callable[[Settings, Environment, str, Bus], Built]) -> None:
    """Reads the environment, connects, builds, serves until SIGTERM or SIGINT; what is in hand is finished first."""
    env = Environment.of_process()
    try:
        settings = Settings.read(service, env)
    except SettingInvalid as invalid:
        sys.exit(f"{service}: {invalid}")
    log_to_stderr(service, settings.log_level)

    async def run() -> None:
        async with database_url(settings) as url:
            built = build(settings, env, url, open_bus(settings.broker_url, service))
            gc.freeze()  # what is there by now stays: no need to look through it at every collection
            gc.set_threshold(BETWEEN_COLLECTIONS)
            await listen(built.app, settings.host, settings.port, settings.trusted_proxies)

    try:
        run_to_end(run())
    except (SettingMissing, DataFolderUnusable, PostgresFailed) as error:
        sys.exit(f"{service}: {error}")


async def listen(app: FastAPI, host: str, port: int, trusted_proxies: Sequence[str]) -> None:
    """Serves the application until the process is told to stop, then lets its lifespan end.

    Address and scheme of a client are taken from `trusted_proxies`, which are networks. Exits with code 1 when the
    lifespan ended with an error.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(trusted_proxies),
        http=HttpToolsProtocol,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        **WEBSOCKETS,
    )
    server = Server(config)
    await server.serve()
    if server.lifespan.should_exit:
        sys.exit(1)


def run_to_end(main: Coroutine[Any, Any, None]) -> None:
    """Runs `main` on uvloop. Signals are the HTTP server's, which raises them once more after it has stopped."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
