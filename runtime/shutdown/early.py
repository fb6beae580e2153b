"""Ctrl-C and SIGTERM from a process's first moment on, when there is nothing to put away yet.

A process begins with this, since what it imports afterwards takes a second or two. So this imports next to nothing.
"""

import os
import signal
import sys

SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def exit_on_signal(name: str) -> None:
    """From now on SIGINT and SIGTERM end the process where it stands, with one line and 128 + their number.

    An exception would not do: raised in the middle of an import or of a destructor it may be swallowed.
    """

    def stop(number: int, _: object) -> None:
        if "termios" in sys.modules:  # a password is being asked for, or was: the terminal shows again what is typed
            os.system("2>/dev/null stty echo </dev/tty")  # noqa: S605, S607
        leave(name, number)

    for number in SIGNALS:
        signal.signal(number, stop)


def leave(name: str, number: int) -> None:
    """The end, now."""
    os.write(2, f"{name}: {SIGNALS[signal.Signals(number)]}\n".encode())
    os._exit(128 + number)
