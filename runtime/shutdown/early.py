"""Handling of Ctrl-C and SIGTERM while a process starts, when there is nothing to clean up yet.

A process starts with this module, because its other imports take a second or two. So it imports nearly nothing.
"""

import os
import signal
import sys

SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def exit_on_signal(name: str) -> None:
    """Has SIGINT and SIGTERM end the process at once, with one line and exit code 128 + the signal's number.

    An exception is not enough: inside an import or a destructor it may be swallowed.
    """

    def stop(number: int, _: object) -> None:
        if "termios" in sys.modules:  # perhaps during a password prompt: make the terminal show input again
            os.system("2>/dev/null stty echo </dev/tty")  # noqa: S605, S607
        leave(name, number)

    for number in SIGNALS:
        signal.signal(number, stop)


def leave(name: str, number: int) -> None:
    """Ends the process at once."""
    os.write(2, f"{name}: {SIGNALS[signal.Signals(number)]}\n".encode())
    os._exit(128 + number)
