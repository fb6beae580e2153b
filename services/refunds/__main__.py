"""`python -m services.refunds`"""

from runtime.serve import serve
from services.refunds.main import build

if __name__ == "__main__":
    serve("refunds", build)
