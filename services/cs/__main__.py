"""`python -m services.cs`"""

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("cs")  # before the rest is imported, which takes a second

    from runtime.serve import serve
    from services import PORTS
    from services.cs.main import build

    serve("cs", build, PORTS["cs"])
