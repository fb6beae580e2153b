"""`python -m services.cs`"""

from runtime.serve import serve
from services.cs.main import build

if __name__ == "__main__":
    serve("cs", build)
