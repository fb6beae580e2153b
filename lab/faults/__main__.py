"""`python -m lab.faults`, which is `make faults`."""

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("faults")
    from lab.faults.cli import app

    app()
