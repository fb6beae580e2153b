"""Telemetry: logs as JSON lines, and metrics in the Prometheus text format."""

import json
import logging
import sys
from datetime import UTC, datetime

from prometheus_client import Counter, Gauge, Histogram

from runtime.observability.trace_context import current_correlation_id

EVENTS_HANDLED = Counter("batalkan_events_handled", "Events that had their effect", ["service", "type"])
EVENTS_DUPLICATE = Counter("batalkan_events_duplicate", "Events that came again", ["service", "type"])
EVENTS_PARKED = Counter("batalkan_events_parked", "Messages set aside", ["service"])
HANDLING_SECONDS = Histogram("batalkan_handling_seconds", "Time for a batch of events, commit included", ["service"])
OUTBOX_PUBLISHED = Counter("batalkan_outbox_published", "Events published and confirmed", ["service"])
OUTBOX_UNPUBLISHED = Gauge("batalkan_outbox_unpublished", "Events that wait in the outbox", ["service"])
OUTBOX_UNROUTABLE = Counter("batalkan_outbox_unroutable", "Attempts to publish what no queue takes", ["service"])
DEADLINES_FIRED = Counter("batalkan_deadlines_fired", "Deadlines that were acted on", ["service", "kind"])
DEADLINES_FAILED = Counter("batalkan_deadlines_failed", "Deadlines whose handler failed", ["service", "kind"])
LIVE_SOCKETS = Gauge("batalkan_live_sockets", "Open WebSockets", ["service"])
LIVE_DROPPED = Counter("batalkan_live_dropped", "WebSockets that the service ended", ["service", "code"])
REQUESTS = Histogram("batalkan_http_seconds", "HTTP requests by outcome", ["service", "method", "status"])


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, with the correlation id of its trace."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if correlation_id := current_correlation_id():
            line["correlation_id"] = str(correlation_id)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(service: str, level: str) -> None:
    """Sends the process's log to standard error; that of libraries from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for library in ("httpx", "httpcore", "alembic"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # The client library logs each broken connection with a traceback; the owner of the connection logs it, too.
    for library in ("aio_pika", "aiormq"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
