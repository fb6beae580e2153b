"""All services behind one origin: in this process, or as `batalkan up`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp

from batalkan import single_process
from batalkan.processes import is_ready
from batalkan.servers.data_folder import free_ports
from batalkan.subprocesses import Child, Reaper


@asynccontextmanager
async def one_origin(app: ASGIApp) -> AsyncIterator[str]:
    """Serves the application from this process; yields its address."""
    listening = single_process.bind("127.0.0.1", 0)
    server = single_process.server(app)
    serving = asyncio.create_task(server.serve([listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


@asynccontextmanager
async def batalkan_up(data: Path, log: Path, python: str = sys.executable) -> AsyncIterator[tuple[Child, str]]:
    """Runs `batalkan up` with its data in that folder; yields the process and its address."""
    port, reaper = next(free_ports()), Reaper()
    command = [python, "-m", "batalkan", "up", "--no-market", "--data", str(data), "--port", str(port)]
    child, origin = Child("batalkan up", command, reaper=reaper, log=log), f"http://127.0.0.1:{port}"
    child.spawn()
    try:
        await child.until(lambda: is_ready(f"{origin}/cs/health/ready"), timeout=120)
        yield child, origin
    finally:
        await child.stop(20)
        reaper.close()
