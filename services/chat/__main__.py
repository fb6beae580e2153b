"""`python -m services.chat`"""

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("chat")  # before the rest is imported, which takes a second

    from runtime.serve import serve
    from services import PORTS
    from services.chat.main import build

    serve("chat", build, PORTS["chat"])
