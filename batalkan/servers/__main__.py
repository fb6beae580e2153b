"""`python -m batalkan.servers`: installs the missing servers, and the programs that tests need."""

import sys
from pathlib import Path

from runtime.shutdown.early import exit_on_signal

if __name__ == "__main__":
    exit_on_signal("batalkan")
    from batalkan.servers import ServersMissing, install
    from batalkan.servers.packages import FOR_TESTS, SERVERS

    try:
        install(Path(".batalkan/install.log"), names=(*SERVERS, *FOR_TESTS))
    except ServersMissing as error:
        sys.exit(f"batalkan: {error}")
