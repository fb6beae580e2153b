"""Handling of Ctrl-C and SIGTERM while a process works: it cleans up and ends within seconds."""

import asyncio
import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from runtime.loop import Loop
from runtime.shutdown.early import SIGNALS, leave

T = TypeVar("T")

WITHIN = 4.5
"""Seconds after which the process ends in any case."""


def run_to_end(main: Coroutine[Any, Any, T], name: str, *, within: float = WITHIN) -> T:
    """Runs `main` on uvloop. The first SIGINT or SIGTERM cancels it; later ones have no effect.

    If `main` ends with that cancellation, the process ends with one line and exit code 128 + the signal's number. If
    `main` catches it and returns, as a server does, this returns, too. After `within` seconds the process ends in any
    case; what it has started ends, too (see `runtime.shutdown.guard`).
    """
    caught: list[int] = []
    reading, writing = os.pipe()

    def watch() -> None:
        signalled = os.read(reading, 1)
        os.close(reading)
        if signalled:
            select.select([], [], [], within)  # a relative time: `sleep` takes the clock, which may be a faked one
            leave(name, caught[0])

    async def run() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: int, _: object) -> None:
            if not caught:
                caught.append(number)
                os.write(writing, b"!")
                loop.call_soon_threadsafe(task.cancel)

        # Only the main thread can handle signals.
        ours = SIGNALS if threading.current_thread() is threading.main_thread() else ()
        before = {number: signal.signal(number, stop) for number in ours}
        try:
            return await main
        finally:
            for number, handler in before.items():
                if not caught:
                    signal.signal(number, handler)

    # Started now: a signal may arrive while the interpreter holds a lock that a new thread would wait for.
    threading.Thread(target=watch, daemon=True, name="watches for signals").start()
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(run())
    except asyncio.CancelledError:
        if caught:
            sys.stdout.flush()
            leave(name, caught[0])  # at once: a library's thread may still wait, for a name server for example
        raise
    finally:
        os.close(writing)
        gc.freeze()  # else the interpreter collects garbage once more, which takes up to a second
