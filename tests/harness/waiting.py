"""Waiting for what is to happen."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]], within: float = 60.0, every: float = 0.01) -> T:
    """What `look` finds, once it finds something; raises TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while not (found := await look()):
            await asyncio.sleep(every)
    return found
