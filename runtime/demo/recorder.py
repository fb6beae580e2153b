"""The observer that records events in Redis: a stream of bounded length. Lost records are counted."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from time import time
from typing import Any
from uuid import UUID

from pydantic_core import from_json
from redis.asyncio import Redis

from runtime.backoff import Backoff
from runtime.messaging.bus import Delivery, Message
from runtime.messaging.envelope import MAX_BODY, Envelope, Event
from runtime.messaging.observer import EventObserver
from runtime.observability.trace_context import TraceContext, current_correlation_id, new_id
from runtime.storage.redis import reached

STREAM = "flow"
PAUSE = 0.1
"""Seconds between two exchanges with Redis, at least."""
MAX_WAITING = 2_000
"""Records that may wait to be written; further ones are dropped, and counted."""
MAX_RECORDS = 100
"""Records in one entry of the stream."""
KEPT = 500
"""Entries of the stream: with records of 300 bytes at most 15 MB."""
NAMES = {"id": "id", "type": "type", "subject": "subject", "correlation_id": "correlationid"}
"""The fields of an envelope in the records of its message."""
LONGEST = 300
"""Characters of an error or a path, at most."""

taken_at: ContextVar[float | None] = ContextVar("taken_at", default=None)
"""When the current event was taken from its queue, in seconds since 1970; None for a replay."""

log = logging.getLogger(__name__)


class DemoObserver(EventObserver):
    """Collects records, which a loop writes. Recording takes microseconds and never waits."""

    def __init__(self, service: str, redis: Redis) -> None:
        self._service = service
        self._redis = redis
        self._source = f"{service} {new_id().hex}"
        self._waiting: deque[dict[str, Any]] = deque()
        self._something = asyncio.Event()
        self._passed = 0
        """Records written or dropped so far. From two entries a reader knows how many are missing between them."""
        self._known = 0
        """The same number in the last entry written."""

    def requested(self, context: TraceContext, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        route = str(getattr(scope.get("route"), "path", scope["path"]))
        if scope["method"] in {"GET", "HEAD"} or "/demonstration" in route:
            return  # these publish nothing, and open pages send many
        request = f"{scope['method']} {route}"[:LONGEST]
        self._note("requested", str(context.correlation_id), request=request, status=status, took=seconds)

    def written(self, ids: Sequence[UUID], events: Sequence[tuple[Event, TraceContext]]) -> None:
        for event_id, (event, context) in zip(ids, events, strict=True):
            self._note(
                "written",
                str(context.correlation_id),
                at=(event_id.int >> 80) / 1000,  # of its UUIDv7; the relay may be faster than the end of the commit
                id=str(event_id),
                type=event.wire_name,
                subject=event.subject,
                cause=str(context.causation_id),
                **_broken(event),
                **_facts(event),
            )

    def sent(self, messages: Sequence[Message]) -> None:
        """Events are being published."""
        self._note_messages("sent", messages)

    def confirmed(self, messages: Sequence[Message]) -> None:
        """The exchange has confirmed them."""
        self._note_messages("confirmed", messages)

    def handled(self, envelope: Envelope[Any], began: float, ended: float) -> None:
        """An event was handled and committed; its handler ran from `began` to `ended`."""
        self._note_event("handled", envelope, taken=taken_at.get(), began=began, ended=ended)

    def failed(self, envelope: Envelope[Any], error: Exception) -> None:
        """A handler failed; the event is tried again or parked."""
        self._note_event("failed", envelope, error=repr(error)[:LONGEST])

    def repeated(self, envelope: Envelope[Any]) -> None:
        self._note_event("repeated", envelope)

    def parked(self, delivery: Delivery, why: str) -> None:
        self._note("parked", **_names(delivery.body), key=delivery.routing_key[:LONGEST], error=why[:LONGEST])

    def lost(self, deliveries: Sequence[Delivery]) -> None:
        """The consumer was lost after it had committed these, and before it acknowledged them."""
        for delivery in deliveries:
            self._note("lost", **_names(delivery.body), key=delivery.routing_key[:LONGEST])

    def fired(self, kind: str, context: TraceContext) -> None:
        self._note("fired", str(context.correlation_id), kind=kind, cause=str(context.causation_id))

    def called(self, whom: str, what: str, answer: str, seconds: float) -> None:
        self._note("called", str(current_correlation_id() or ""), whom=whom, what=what, answer=answer, took=seconds)

    def _note_event(self, step: str, envelope: Envelope[Any], **facts: object) -> None:
        names = {"id": str(envelope.id), "type": envelope.type, "subject": envelope.subject}
        self._note(step, str(envelope.correlationid), **names, **facts)

    def _note_messages(self, step: str, messages: Sequence[Message]) -> None:
        for message in messages:
            self._note(step, **_names(message.body))

    def _note(self, step: str, correlation_id: str = "", **facts: object) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._passed += 1
            self._something.set()
            return
        self._waiting.append({"stage": step, "at": time(), "service": self._service, "story": correlation_id, **facts})
        self._something.set()

    async def run(self) -> None:
        """Writes records until it is cancelled. Those that cannot be written now wait."""
        backoff = Backoff("Redis, to record events", log)
        while True:
            self._something.clear()
            if not self._waiting and self._known == self._passed:
                await self._something.wait()
            await asyncio.sleep(PAUSE)
            records, passed = list(self._waiting), self._passed
            try:
                async with reached(), self._redis.pipeline(transaction=False) as pipeline:
                    # At least one entry, which says how many records were dropped.
                    for first in range(0, len(records) or 1, MAX_RECORDS):
                        written = json.dumps(records[first : first + MAX_RECORDS])
                        entry: dict[Any, Any] = {"teller": self._source, "passed": passed + first, "records": written}
                        pipeline.xadd(STREAM, entry, maxlen=KEPT, approximate=True)
                    await pipeline.execute()
                for _ in records:
                    self._waiting.popleft()
                self._passed += len(records)
                self._known = passed + len(records)
                backoff.reset()
            except Exception as error:
                await backoff.wait(error)  # they are written again; the reader knows them by their numbers


def _broken(event: Event) -> dict[str, bool]:
    """Marks an event that was published without its required fields."""
    needed = {name for name, field in type(event).model_fields.items() if field.is_required()}
    return {} if needed <= event.model_fields_set else {"broken": True}


def _facts(event: Event) -> dict[str, str]:
    """What people know the event's order by: the channel of its cancellation, and the title of its first product."""
    first = next(iter(getattr(event, "lines", None) or ()), None)
    facts = {"channel": getattr(event, "channel", None), "title": getattr(first, "title", None)}
    return {name: str(fact)[:LONGEST] for name, fact in facts.items() if fact}


def _names(body: bytes) -> dict[str, str]:
    """The ids of the event and its trace in a message, if it is an event."""
    try:
        fields = from_json(body) if len(body) <= MAX_BODY else {}
        return {
            ours: fields[theirs]
            for ours, theirs in NAMES.items()
            if isinstance(fields[theirs], str) and len(fields[theirs]) <= LONGEST
        }
    except (ValueError, TypeError, KeyError):
        return {}
