"""The simulator on a port, as a process of its own or inside another one."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI


class Server(uvicorn.Server):
    """uvicorn, except that calls which hang on purpose do not hold up its end."""

    def __init__(self, app: FastAPI, host: str, port: int, *, signals: bool = True) -> None:
        super().__init__(
            uvicorn.Config(app, host, port, log_config=None, access_log=False, lifespan="on", server_header=False)
        )
        self._faults = app.state.faults
        self._signals = signals

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops; called by uvicorn."""
        self._faults.stop()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone in a process that minds them itself."""
        if not self._signals:
            yield
            return
        with super().capture_signals():
            yield


@asynccontextmanager
async def running(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serves `app` inside this process, by default on a free port, and gives its URL. Raises OSError for a busy one."""
    listening = socket.create_server((host, port))
    url = f"http://{host}:{listening.getsockname()[1]}"
    server = Server(app, host, port, signals=False)
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield url
    finally:
        server.should_exit = True
        await serving
