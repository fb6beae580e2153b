"""Saying what is waited for: soon, and then every few seconds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from runtime import urls

T = TypeVar("T")

SOON, EVERY = 0.5, 4.0
"""Seconds until the first line, and from one to the next."""
PROBE = 1.0

Say = Callable[[str], object]


async def waiting(operation: Coroutine[Any, Any, T], missing: Callable[[], AsyncIterator[str]], say: Say) -> T:
    """What `operation` comes to; `missing` gives the lines that say what it waits for, while it does."""
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
    """One line: which thing, at which host and port, and how it looks from here."""
    return f"Waiting for {thing} at {urls.place(url)} ({await _looks(url)}) …"


async def _looks(url: str) -> str:
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
            return "it takes connections, but is not ready or refuses us"
    return found
