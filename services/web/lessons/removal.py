"""A run without the pattern: the laboratory's, as a child process with data of its own, or a recorded one."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from services.web.lessons.texts import RECORDED, TREE, Line

LIMIT = 60.0
"""Seconds that a run may take."""
STOPPING = 5.0
"""Seconds that it gets to stop its database."""
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "PYTHONUTF8")
"""No setting of this service reaches the child."""


class Removal:
    """Runs one lesson at a time."""

    def __init__(self, *, live: bool) -> None:
        """`live`: in a source tree, run the laboratory; else play what was recorded."""
        self.live = live and (TREE / "lab" / "lessons").is_dir()
        self._process: Process | None = None
        self._ending: asyncio.Task[None] | None = None

    async def lines(self, name: str) -> AsyncGenerator[Line]:
        """The lines of a run without the pattern, as they come. If the laboratory is busy, or does not get to its
        verdict, a line `recorded` says so, and those of the recorded run follow."""
        if self.live:
            async with aclosing(self._child(name)) as lines:
                async for line in lines:
                    yield line
                    if "verdict" in line:
                        return
            yield {"recorded": True}
        for line in RECORDED[name].removed:
            yield line

    async def _child(self, name: str) -> AsyncGenerator[Line]:
        if self._process is not None and self._process.returncode is None:
            return
        command = [sys.executable, "-m", "lab.lessons", name, "--removed", "--json"]
        env = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL, cwd=TREE, env=env)
        self._process = process
        assert process.stdout is not None
        end = asyncio.get_running_loop().time() + LIMIT
        try:
            with suppress(TimeoutError, ValueError):  # a broken line ends it, as an end without a verdict does
                while True:
                    async with asyncio.timeout_at(end):
                        line = await process.stdout.readline()
                    if not line:
                        return
                    yield json.loads(line)
        finally:
            # In a task of its own: the browser may have left, and then this one may wait for nothing.
            self._ending = asyncio.create_task(_end(process))

    async def stop(self) -> None:
        """Ends the child, if there is one."""
        if self._process is not None:
            await _end(self._process)
        if self._ending is not None:
            await self._ending


async def _end(process: Process) -> None:
    """Asks the process to stop, and kills it if it does not."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOPPING)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
