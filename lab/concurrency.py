"""Bounded concurrency."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def each(items: Iterable[T], do: Callable[[T], Awaitable[R]], at_once: int) -> list[R]:
    """Runs `do` for each item, `at_once` concurrently; the results, in no order. The first failure cancels the rest."""
    waiting, results = iter(items), list[R]()

    async def worker() -> None:
        for item in waiting:
            results.append(await do(item))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
    return results
