"""Waiting for what is to happen."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def eventually(
    look: Callable[[], Awaitable[T | None]],
    within: float = 60.0,
    every: float = 0.01,
    *,
    enough: Callable[[Any], object] = bool,
) -> T:
    """The result of `look`, once it is `enough`; raises TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while (found := await look()) is None or not enough(found):
            await asyncio.sleep(every)
    return found
