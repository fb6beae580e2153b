"""`python -m services.accounts`"""

from runtime.serve import serve
from services.accounts.main import build

if __name__ == "__main__":
    serve("accounts", build)
