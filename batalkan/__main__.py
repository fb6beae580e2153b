"""The command `batalkan`, and `python -m batalkan`."""

import io
import os
import sys

from runtime.shutdown.early import exit_on_signal


def main() -> None:
    """Runs the command line. A wrong call becomes one line and exit code 2."""
    exit_on_signal("batalkan")  # before the other imports, which take a second
    if not sys.flags.utf8_mode and sys.getfilesystemencoding() != "utf-8":  # an old locale, such as C
        os.execve(sys.executable, [sys.executable, "-m", "batalkan", *sys.argv[1:]], {**os.environ, "PYTHONUTF8": "1"})  # noqa: S606
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a pipe or a log gets each line at once, too
    from typer.exceptions import Abort, TyperException

    from batalkan.cli import app
    from runtime.settings import SettingInvalid

    try:
        sys.exit(app(standalone_mode=False))
    except TyperException as wrong:
        if wrong.message:  # without a message it is the help, already printed
            sys.stderr.write(f"batalkan: {wrong.format_message()}\n")
        sys.exit(wrong.exit_code)
    except BrokenPipeError:  # the reader has closed the pipe, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except Abort:  # the input ended at a prompt
        sys.exit("batalkan: aborted")
    except SettingInvalid as wrong:
        sys.stderr.write(f"batalkan: {wrong}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
