"""`python -m services.web`"""

from runtime.serve import serve
from services.web.main import build

if __name__ == "__main__":
    serve("web", build)
