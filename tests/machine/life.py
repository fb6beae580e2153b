"""Whether processes live, and one that can be killed to see what becomes of its children."""

import asyncio
import subprocess
import sys
from pathlib import Path


def is_there(process: int) -> bool:
    """Whether it runs; what has ended but was not collected by its parent does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # ProcessLookupError: it ended between open and read.
        return False


async def gone(*processes: int) -> None:
    """Returns when all have ended."""
    async with asyncio.timeout(20):
        while any(map(is_there, processes)):
            await asyncio.sleep(0.02)


def children_of_the_killed(script: str, folder: Path) -> list[int]:
    """Run a script that starts children and prints their process ids; kill it, and return the ids."""
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:  # noqa: S603
        assert owner.stdout is not None
        ids = [int(word) for word in owner.stdout.readline().split()]
        owner.kill()
    return ids
