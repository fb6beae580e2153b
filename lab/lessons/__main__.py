"""`python -m lab.lessons`, which is `make lesson`."""

import sys

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("lessons")
    from lab.lessons.cli import main

    sys.exit(main(sys.argv[1:]))
