"""Waits for what is to happen."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import pytest

TIMEOUT = 60.0
"""Seconds after which what has not happened never will."""
T = TypeVar("T")


async def eventually(
    ask: Callable[[], Awaitable[T | None]],
    within: float = TIMEOUT,
    every: float = 0.005,
    *,
    enough: Callable[[Any], object] = bool,
) -> T:
    """The result of `ask`, once it is `enough`; raises TimeoutError after `within` seconds.

    The pauses become longer, up to 0.1 seconds: most waits are short, and asking takes processor time.
    """
    async with asyncio.timeout(within):
        pause = every
        while (found := await ask()) is None or not enough(found):
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, max(every, 0.1))
    return found


async def becomes(ask: Callable[[], Awaitable[object]], expected: object) -> None:
    """Asks until the answer is the expected one; fails with the last answer."""
    answer: object = None

    async def as_expected() -> bool:
        nonlocal answer
        answer = await ask()
        return answer == expected

    with suppress(TimeoutError):
        await eventually(as_expected)
    assert answer == expected


async def blocked(fetch: Callable[[str], Awaitable[list[Any]]]) -> None:
    """Waits until a transaction of this database waits for a lock that another one has."""
    waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    await eventually(lambda: fetch(waiting))


class Gate:
    """Stands after a function of a module or class: the call with this number waits there until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int = 1) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        function, calls = getattr(owner, name), iter(range(1, 1000))

        async def gated(*arguments: Any) -> Any:
            result = await function(*arguments)
            if next(calls) == number:
                self.reached.set()
                await self.opened.wait()
            return result

        monkeypatch.setattr(owner, name, gated)
