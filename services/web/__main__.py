"""`python -m services.web`"""

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("web")  # before the rest is imported, which takes a second

    from runtime.serve import serve
    from services import PORTS
    from services.web.main import build

    serve("web", build, PORTS["web"])
