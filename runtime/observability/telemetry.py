"""Telemetry: logs as JSON lines, and metrics in the Prometheus text format."""

import json
import logging
import sys
from datetime import UTC, datetime

from prometheus_client import Counter, Gauge, Histogram

from runtime.observability.trace_context import found_context, span_ids

SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 8)
"""Bounds in seconds of what somebody waits for; 0.5 is that of the objective for cancellations."""
LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
"""Bounds in seconds of what happens behind the scenes; 5 is that of the objective for refunds."""

EVENTS_HANDLED = Counter("batalkan_events_handled", "Events that had their effect", ["service", "type"])
EVENTS_DUPLICATE = Counter("batalkan_events_duplicate", "Events that came again", ["service", "type"])
EVENTS_PARKED = Counter("batalkan_events_parked", "Messages set aside", ["service"])
EVENT_LAG = Histogram(
    "batalkan_event_lag_seconds", "From the publisher's change to the effect", ["service", "type"], buckets=LONG
)
HANDLING_SECONDS = Histogram("batalkan_handling_seconds", "Time for a batch of events, commit included", ["service"])
PARKED = Gauge("batalkan_parked", "Messages that are parked now", ["service", "error"])
QUEUE_MESSAGES = Gauge("batalkan_queue_messages", "Messages that wait in a queue", ["service", "queue"])
QUEUE_AGE = Gauge("batalkan_queue_oldest_age_seconds", "Age of the event at the head", ["service", "queue"])
OUTBOX_PUBLISHED = Counter("batalkan_outbox_published", "Events published and confirmed", ["service"])
OUTBOX_UNPUBLISHED = Gauge("batalkan_outbox_unpublished", "Events that wait in the outbox", ["service"])
OUTBOX_AGE = Gauge("batalkan_outbox_oldest_age_seconds", "Age of the oldest event in the outbox", ["service"])
OUTBOX_UNROUTABLE = Counter("batalkan_outbox_unroutable", "Attempts to publish what no queue takes", ["service"])
RELAY_LEADER = Gauge("batalkan_relay_leader", "1 where the relay publishes", ["service"])
DEADLINES_OVERDUE = Gauge("batalkan_deadlines_overdue", "Deadlines that are due and have not fired", ["service"])
DEADLINES_LATE = Gauge("batalkan_deadlines_late_seconds", "How late the next deadline is", ["service"])
DEADLINES_FIRED = Counter("batalkan_deadlines_fired", "Deadlines that were acted on", ["service", "kind"])
DEADLINES_FAILED = Counter("batalkan_deadlines_failed", "Deadlines whose handler failed", ["service", "kind"])
LIVE_SOCKETS = Gauge("batalkan_live_sockets", "Open WebSockets", ["service"])
LIVE_DROPPED = Counter("batalkan_live_dropped", "WebSockets that the service ended", ["service", "code"])
POOL_WAIT = Histogram("batalkan_pool_wait_seconds", "Waits for a database connection", ["service"], buckets=SHORT)
SAMPLES_FAILED = Counter("batalkan_samples_failed", "Samples for gauges that failed", ["service"])
REQUESTS = Histogram(
    "batalkan_http_seconds", "HTTP requests by outcome", ["service", "method", "route", "status"], buckets=SHORT
)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, with the correlation id of its trace; `traced`: also with the trace and the
    span."""

    def __init__(self, service: str, *, traced: bool = False) -> None:
        super().__init__()
        self._service = service
        self._traced = traced

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if context := found_context():
            line["correlation_id"] = str(context.correlation_id)
            if self._traced:
                line |= span_ids(context.traceparent)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(service: str, level: str, *, traced: bool = False) -> None:
    """Sends the process's log to standard error; that of libraries from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service, traced=traced))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for library in ("httpx", "httpcore", "alembic"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # The client library logs each broken connection with a traceback; the owner of the connection logs it, too.
    for library in ("aio_pika", "aiormq"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
