"""Trace context: the ids shared by all that follows from one request.

An HTTP request starts a trace. Every event that it publishes carries its id (`correlationid`), and every handler,
deadline and worker that acts on such an event continues under the same id.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from secrets import token_hex
from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A new UUIDv7: unique, sorted by creation time."""
    return uuid_utils.compat.uuid7()


def new_traceparent() -> str:
    """A W3C `traceparent` (version 00) that starts a trace of which nothing is recorded."""
    return f"00-{token_hex(16)}-{token_hex(8)}-00"


def is_recorded(traceparent: str) -> bool:
    """Whether the spans of the trace are recorded: W3C's flag `sampled`."""
    return traceparent[-1] in "13579bdf"


def span_ids(traceparent: str) -> dict[str, str]:
    """The ids of the trace and of the span, for a log line or an exemplar."""
    return {"trace_id": traceparent[3:35], "span_id": traceparent[36:52]}


@dataclass(frozen=True)
class TraceContext:
    """The origin of an event.

    `correlation_id` is the same in the whole trace; `causation_id` is that of the event or request directly before;
    `traceparent` names the span directly before, of those that are recorded.
    """

    correlation_id: UUID
    causation_id: UUID
    traceparent: str

    def caused_by(self, event_id: UUID) -> "TraceContext":
        """The same trace, one step later: what follows is caused by `event_id`."""
        return replace(self, causation_id=event_id)


_current: ContextVar[TraceContext | None] = ContextVar("trace_context", default=None)


def start_context(traceparent: str | None = None) -> TraceContext:
    """A new trace, or the caller's W3C trace if there is one."""
    request_id = new_id()
    return TraceContext(request_id, request_id, traceparent or new_traceparent())


def current_context() -> TraceContext:
    """The current trace context; a new one where there is none (in a command, in a test)."""
    return _current.get() or start_context()


def found_context() -> TraceContext | None:
    """The current trace context, if there is one."""
    return _current.get()


def current_correlation_id() -> UUID | None:
    """The id of the current trace, if there is one."""
    context = _current.get()
    return context.correlation_id if context else None


@contextmanager
def use_context(context: TraceContext) -> Iterator[TraceContext]:
    """Makes `context` the current one inside the block, and in the tasks started there."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
