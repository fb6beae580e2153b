"""Processes of ours, started as a user starts them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

WITHIN = 5
"""Seconds from a signal to the end, on a machine that has a core for it."""


@dataclass
class Command:
    """A process, and its standard output so far."""

    process: asyncio.subprocess.Process
    said: str = ""

    async def until(self, there: Callable[[], bool]) -> None:
        """Waits until it is so; fails when the process ends before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(100):
            while not there():
                assert self.process.returncode is None, "it ended"
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        self.said += (await self.process.stdout.read(10_000)).decode()

    async def result(self) -> tuple[int | None, str]:
        """Waits for the end; the exit code, and what stood on standard error."""
        output, complaints = await self.process.communicate()
        self.said += output.decode()
        return self.process.returncode, complaints.decode()

    async def end(self, *signals: signal.Signals) -> tuple[int | None, str]:
        """Sends the signals, 0.05 s apart; the result, which must come in time."""
        began = monotonic()
        for number in signals:
            with suppress(ProcessLookupError):  # it may have ended already
                self.process.send_signal(number)
            await asyncio.sleep(0.05)
        result = await self.result()
        assert monotonic() - began < WITHIN
        return result


@asynccontextmanager
async def python(*arguments: str | Path, **environment: str) -> AsyncIterator[Command]:
    """A process of this Python, killed at the end of the block if it is still there."""
    settings = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "UNBUFFERED"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        env={**settings, "COLUMNS": "200", **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
