"""The embedded system on a port, in a thread of its own: schemathesis calls it from outside, without an event loop."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import uvicorn
from argon2 import PasswordHasher

from batalkan import system
from batalkan.system import Where


@contextmanager
def served(folder: Path, database_url: str) -> Iterator[str]:
    """The origin of the system, for as long as the block lasts."""
    listening = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        async with system.running(Where(folder, database_url, dana_timeout=0.5)) as running:
            servers.append(
                uvicorn.Server(uvicorn.Config(running.app, log_config=None, access_log=False, lifespan="off"))
            )
            ready.set()
            await servers[0].serve([listening])

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # what real ones cost is not what this is about
    with patch("services.accounts.passwords.PasswordHasher", lambda: quick):
        thread = threading.Thread(target=run)
        thread.start()
        ready.wait()
        assert servers, "the system did not start"
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            servers[0].should_exit = True
            thread.join()
