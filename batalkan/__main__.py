"""The command `batalkan`, and `python -m batalkan`."""

from runtime.exiting import exit_on_signal


def main() -> None:
    """Runs the command line."""
    exit_on_signal("batalkan")  # before the rest is imported, which takes a second
    from batalkan.cli import app

    app()


if __name__ == "__main__":
    main()
