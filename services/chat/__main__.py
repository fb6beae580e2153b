"""`python -m services.chat`"""

from runtime.serve import serve
from services.chat.main import build

if __name__ == "__main__":
    serve("chat", build)
