"""Child processes that never outlive this one: each has its own process group, and a shell kills the groups."""

# ruff: noqa: S603 - this module starts programs

import asyncio
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

WARDEN = Path(__file__).with_name("warden.sh")


class ChildFailed(Exception):
    """A child process ended, or was not ready in time; the message ends with the last lines of its log."""


class Reaper:
    """A small shell that outlives this process just long enough to end its children."""

    def __init__(self, *, open_files: Sequence[int] = (), remove: Path | None = None) -> None:
        """Until the last child ends, the file descriptors `open_files` (a lock) stay open; then `remove` is deleted."""
        self._shell = subprocess.Popen(
            ["/bin/sh", WARDEN, str(remove or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=open_files,
        )
        self._pipe = cast("IO[bytes]", self._shell.stdin)

    def tell(self, sign: str, pid: int) -> None:
        """`+`: this process group is to end with us; `-`: it has ended."""
        self._pipe.write(f"{sign} {pid}\n".encode())
        self._pipe.flush()

    def close(self) -> None:
        """Ends the children that are still watched; returns at once if there are none."""
        with suppress(BrokenPipeError):
            self._pipe.close()
        self._shell.wait()


class Child:
    """One program that can be started, stopped, killed, paused, resumed and restarted, with one log file."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        reaper: Reaper,
        log: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name, self.argv, self.env, self.log, self.user, self.cwd = name, argv, env, log, user, cwd
        self._reaper = reaper
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs or before its start; negative for a signal."""
        return self._process.poll() if self._process else None

    def spawn(self) -> None:
        """Starts the program; its earlier log is kept."""
        if self.running:
            raise ChildFailed(f"{self.name} already runs; stop it first")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in self.argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.env) if self.env is not None else None,
                cwd=self.cwd,
                start_new_session=True,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )
        self._reaper.tell("+", self._process.pid)

    async def kill(self) -> None:
        """As a power cut for this program: SIGKILL to it and to all that it started, at once."""
        self._send_all(signal.SIGKILL)
        await self.wait(10)

    def pause(self) -> None:
        """Freezes the program and its descendants: connections stay open and nothing answers. Returns once every thread
        stands still; one that waits for the disk may do so for a second."""
        self._send_all(signal.SIGSTOP)
        until = time.monotonic() + 1
        while not all(map(_stands_still, self._pids())) and time.monotonic() < until:
            time.sleep(0.001)

    def resume(self) -> None:
        self._send_all(signal.SIGCONT)

    async def stop(self, timeout: float, number: signal.Signals = signal.SIGTERM) -> None:
        """Sends the signal to the program only, and SIGKILL to all after `timeout` seconds."""
        self.resume()
        if self._process is not None and self.running:
            self._process.send_signal(number)
        try:
            await self.wait(timeout)
        except TimeoutError:
            await self.kill()

    async def wait(self, timeout: float | None = None) -> int | None:
        """Waits for the end; returns the exit code. Raises TimeoutError."""
        process = self._process
        if process is None:
            return None
        async with asyncio.timeout(timeout):
            while process.poll() is None:
                await asyncio.sleep(0.02)
        self._reaper.tell("-", process.pid)
        return process.returncode

    async def until(self, ready: Callable[[], Awaitable[bool]], timeout: float) -> None:
        """Polls `ready` (False or OSError: not yet) until it is true. Raises ChildFailed if the program ends first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            with suppress(OSError, EOFError):
                if await ready():
                    return
            if not self.running:
                raise ChildFailed(f"{self.name} ended with exit code {self.exit_code}:\n{self.tail()}")
            if loop.time() > deadline:
                raise ChildFailed(f"{self.name} was not ready after {timeout:.0f} s:\n{self.tail()}")
            await asyncio.sleep(0.05)

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, after its path."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- {self.log}\n" + "\n".join(text.splitlines()[-lines:])

    def _send_all(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        if self._process is None or not self.running:
            return []
        # Not only the group: PostgreSQL gives each of its processes its own group.
        return [self._process.pid, *descendants(self._process.pid)]


async def run_all(*steps: Coroutine[object, object, None]) -> None:
    """Runs all concurrently. The first failure cancels the others and is raised itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _stands_still(pid: int) -> bool:
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # it has ended
            if path.read_text().rpartition(") ")[2][:1] not in "TtZX":
                return False
    return True


def descendants(pid: int) -> list[int]:
    """The ids of all processes that a process has started, and those that these have started."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                found += [int(child), *descendants(int(child))]
    return found
