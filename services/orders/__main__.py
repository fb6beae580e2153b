"""`python -m services.orders`"""

from runtime.serve import serve
from services.orders.main import build

if __name__ == "__main__":
    serve("orders", build)
