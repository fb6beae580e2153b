"""`python -m services.notifications`"""

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("notifications")  # before the rest is imported, which takes a second

    from runtime.serve import serve
    from services import PORTS
    from services.notifications.main import build

    serve("notifications", build, PORTS["notifications"])
