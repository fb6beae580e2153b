"""Ctrl-C and SIGTERM while a process works: it puts away what it has begun, and ends within seconds."""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

from runtime.shutdown.early import SIGNALS, leave

T = TypeVar("T")

WITHIN = 4.5
"""Seconds until the process ends, whatever still holds it up."""


def run_to_end(main: Coroutine[Any, Any, T], name: str, *, within: float = WITHIN) -> T:
    """Runs `main` on uvloop. The first SIGINT or SIGTERM cancels it, and those that follow change nothing.

    If `main` ends with that cancellation, so does the process, with one line and 128 + the signal's number. If it takes
    the cancellation for its end and returns, as a server does, all is well. After `within` seconds the process ends in
    any case; what it has started does not outlive it (see `runtime.shutdown.guard`).
    """
    caught: list[int] = []
    heard, bell = os.pipe()

    def watch() -> None:
        rung = os.read(heard, 1)
        os.close(heard)
        if rung:
            time.sleep(within)
            leave(name, caught[0])

    async def run() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: int, _: object) -> None:
            if not caught:
                caught.append(number)
                os.write(bell, b"!")
                loop.call_soon_threadsafe(task.cancel)

        # Signals are the main thread's alone.
        ours = SIGNALS if threading.current_thread() is threading.main_thread() else ()
        before = {number: signal.signal(number, stop) for number in ours}
        try:
            return await main
        finally:
            for number, handler in before.items():
                if not caught:
                    signal.signal(number, handler)

    # Started now: a signal may arrive while the interpreter holds a lock that starting a thread would wait for.
    threading.Thread(target=watch, daemon=True, name="watches for signals").start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run())
    except asyncio.CancelledError:
        if caught:
            sys.stdout.flush()
            leave(name, caught[0])  # at once: a library's thread may still wait, for the name of a host, say
        raise
    finally:
        os.close(bell)
        gc.freeze()  # or else the interpreter looks through all that is left once more, which takes up to a second
