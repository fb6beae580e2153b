"""`python -m services.orders`"""

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("orders")  # before the rest is imported, which takes a second

    from runtime.serve import serve
    from services import PORTS
    from services.orders.main import build

    serve("orders", build, PORTS["orders"])
