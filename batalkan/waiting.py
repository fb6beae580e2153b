"""Reports which servers an operation waits for: soon, and then every few seconds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from runtime import urls

T = TypeVar("T")

SOON, EVERY = 0.5, 4.0
"""Seconds before the first line, and between two lines."""
PROBE = 1.0

Say = Callable[[str], object]


async def waiting(operation: Awaitable[T], missing: Callable[[], AsyncIterator[str]], say: Say) -> T:
    """The result of `operation`; meanwhile `say` receives the lines of `missing`, at intervals."""
    task = asyncio.ensure_future(operation)
    pause = SOON
    try:
        while not (await asyncio.wait({task}, timeout=pause))[0]:
            async for line in missing():
                say(line)
            pause = EVERY
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def waits_for(thing: str, url: str) -> str:
    """One line: the server, its host and port, and the result of a connection attempt."""
    return f"Waiting for {thing} at {urls.host_port(url)} ({await _probe(url)}) …"


async def _probe(url: str) -> str:
    found = "no answer"
    for host, port in urls.addresses(url):
        try:
            async with asyncio.timeout(PROBE):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            found = "no answer"
        except OSError as error:
            found = (error.strerror or str(error)).lower()
        else:
            writer.close()
            return "it accepts connections, but is not ready or refuses this user"
    return found
