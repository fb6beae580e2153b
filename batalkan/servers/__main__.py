"""`python -m batalkan.servers`: install the real servers that this machine lacks."""

import sys
from pathlib import Path

from batalkan.servers import ServersMissing, install

if __name__ == "__main__":
    try:
        install(Path(".batalkan/install.log"))
    except ServersMissing as error:
        sys.exit(f"batalkan: {error}")
