"""The guard: a small process that stops a server when all its users have ended, also after a crash."""

import asyncio
import os
import pwd
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

# Waits for the end of its input, which is our end, and removes our link. Then, unless another process has the lock, it
# stops the process whose number it read last: by a fast shutdown, or else by an immediate one, from which PostgreSQL
# recovers at its next start.
GUARD = """
import fcntl, os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
    signal.signal(number, signal.SIG_IGN)
lock, pidfile, link = int(sys.argv[1]), sys.argv[2], sys.argv[3]
pids = sys.stdin.buffer.read().split()
if link:
    os.unlink(link)
    os.rmdir(os.path.dirname(link))
pid = int(pids[-1]) if pids else 0
if not pid:
    sys.exit()
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit()
written = os.path.exists(pidfile)
for number, seconds in ((signal.SIGINT, 2.5), (signal.SIGQUIT, 1), (signal.SIGKILL, 1)):
    try:
        os.kill(pid, number)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (written and not os.path.exists(pidfile)):
            os.kill(pid, 0)
            time.sleep(0.01)
        if time.monotonic() < end:
            break
    except ProcessLookupError:
        break
"""


LAST = 2.0
"""Seconds from the removal of the pidfile to the end of its process, at most."""


class Guard:
    """Runs programs that end soon after this process, unless another process has the lock, too."""

    def __init__(self, lock: int, pidfile: Path, link: Path | None) -> None:
        """`lock`: a descriptor with an flock, shared with the guard. The server removes `pidfile` when it ends. `link`:
        a link to remove in the end, with its folder."""
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", "-c", GUARD, str(lock), pidfile, link or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=[lock],
        )
        self._pidfile = pidfile
        self._pipe = cast("IO[bytes]", self._process.stdin)
        self._children: list[subprocess.Popen[bytes]] = []

    def run(
        self, argv: Sequence[str | Path], log: IO[bytes], user: pwd.struct_passwd | None
    ) -> subprocess.Popen[bytes]:
        """Starts a program in its own session, which Ctrl-C does not reach, and watches it."""
        child = subprocess.Popen(  # noqa: S603
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        self._children.append(child)
        self.watch(child.pid)
        return child

    def watch(self, pid: int) -> None:
        """Sets the process that the guard is to stop; 0 for none."""
        self._pipe.write(b"%d\n" % pid)
        self._pipe.flush()

    async def close(self) -> None:
        """Has the guard stop the process, unless another process uses it, and waits for that."""
        try:
            with suppress(BrokenPipeError):
                self._pipe.close()
            while self._process.poll() is None:
                for child in self._children:
                    child.poll()  # reaps it if it has ended
                await asyncio.sleep(0.01)
            with suppress(TimeoutError):  # the pidfile goes a moment before the process
                async with asyncio.timeout(LAST):
                    while not self._pidfile.exists() and any(child.poll() is None for child in self._children):
                        await asyncio.sleep(0.01)
        finally:
            for running in [self._process, *self._children]:
                if running.poll() is None:  # another process uses the server, or it ends slowly: reap it later
                    threading.Thread(target=running.wait, daemon=True).start()
