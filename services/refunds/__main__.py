"""`python -m services.refunds`"""

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("refunds")  # before the rest is imported, which takes a second

    from runtime.serve import serve
    from services import PORTS
    from services.refunds.main import build

    serve("refunds", build, PORTS["refunds"])
