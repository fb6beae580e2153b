"""A process to be watched: ready as soon as it listens, unless its environment makes it worse."""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Ready(BaseHTTPRequestHandler):
    """Answers 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keeps the log to what the tests expect."""


if __name__ == "__main__":
    if "BROKEN" in os.environ:
        sys.exit("cannot read its settings")
    if "STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for level in ("info", "warning"):
        line = {"time": "2026-01-01T00:00:00Z", "level": level, "message": f"{level} from {os.getpid()}"}
        sys.stderr.write(json.dumps(line) + "\n")
    HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Ready).serve_forever()
