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
class Story:
    """What an event says of where it came from.

    `correlation_id` is one for the whole story; `causation_id` names the event or request that came right before.
    """

    correlation_id: UUID
    causation_id: UUID
    traceparent: str

    def caused_by(self, event_id: UUID) -> "Story":
        """The same story, one step on: what follows is caused by `event_id`."""
        version, trace, _, flags = self.traceparent.split("-")
        return replace(self, causation_id=event_id, traceparent=f"{version}-{trace}-{token_hex(8)}-{flags}")


_current: ContextVar[Story | None] = ContextVar("story", default=None)


def begin(traceparent: str | None = None) -> Story:
    """A new story, with the caller's trace if there is one."""
    beginning = new_id()
    return Story(beginning, beginning, traceparent or new_traceparent())


def current() -> Story:
    """The story that is being told; a new one where none is (a command, a test)."""
    return _current.get() or begin()


def current_correlation() -> UUID | None:
    """The id of the story that is being told, if one is."""
    story = _current.get()
    return story.correlation_id if story else None


@contextmanager
def telling(story: Story) -> Iterator[Story]:
    """Everything inside the block, tasks started there included, belongs to `story`."""
    token = _current.set(story)
    try:
        yield story
    finally:
        _current.reset(token)
