"""The thread that runs through everything one request sets off.

A story is carried along: an HTTP request opens one, every event it publishes names it (`correlationid`), and every
handler, deadline and worker that acts on such an event goes on under the same id.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from secrets import token_hex
from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A fresh UUIDv7: unique, and sorting by the time it was made."""
    return uuid_utils.compat.uuid7()


def new_traceparent() -> str:
    """A W3C `traceparent` (version 00) that starts a trace."""
    return f"00-{token_hex(16)}-{token_hex(8)}-01"


@dataclass(frozen=True)
class TraceContext:
    """What an event says of where it came from.

    `correlation_id` is one for the whole story; `causation_id` names the event or request that came right before.
    """

    correlation_id: UUID
    causation_id: UUID
    traceparent: str

    def caused_by(self, event_id: UUID) -> "TraceContext":
        """The same story, one step on: what follows is caused by `event_id`."""
        version, trace, _, flags = self.traceparent.split("-")
        return replace(self, causation_id=event_id, traceparent=f"{version}-{trace}-{token_hex(8)}-{flags}")


_current: ContextVar[TraceContext | None] = ContextVar("story", default=None)


def start_context(traceparent: str | None = None) -> TraceContext:
    """A new story, with the caller's trace if there is one."""
    beginning = new_id()
    return TraceContext(beginning, beginning, traceparent or new_traceparent())


def current_context() -> TraceContext:
    """The story that is being told; a new one where none is (a command, a test)."""
    return _current.get() or start_context()


def current_correlation_id() -> UUID | None:
    """The id of the story that is being told, if one is."""
    context = _current.get()
    return context.correlation_id if context else None


@contextmanager
def use_context(context: TraceContext) -> Iterator[TraceContext]:
    """Everything inside the block, tasks started there included, belongs to `context`."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
