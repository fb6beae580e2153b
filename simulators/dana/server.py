"""Serves the simulator on a port, in its own process or inside another one."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from runtime.http.connections import BoundedHttp
from runtime.shutdown.server import HttpServer


class Server(HttpServer):
    """A server that ends hanging calls when it stops."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host,
                port,
                log_config=None,
                access_log=False,
                lifespan="on",
                server_header=False,
                proxy_headers=False,
                http=BoundedHttp,
            )
        )
        self._faults = app.state.faults

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops; called by uvicorn."""
        self._faults.stop()
        await super().shutdown(sockets)


@asynccontextmanager
async def running(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serves `app` inside this process, by default on a free port; gives its URL. Raises OSError if the port is
    busy."""
    listening = socket.create_server((host, port))
    url = f"http://{host}:{listening.getsockname()[1]}"
    server = Server(app, host, port)
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield url
    finally:
        server.should_exit = True
        await serving
