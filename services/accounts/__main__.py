"""`python -m services.accounts`"""

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("accounts")  # before the rest is imported, which takes a second

    from runtime.serve import serve
    from services import PORTS
    from services.accounts.main import build

    serve("accounts", build, PORTS["accounts"])
