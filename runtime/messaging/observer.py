"""Observation of events on their way, for demonstration mode."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from runtime.messaging.bus import Delivery
from runtime.messaging.envelope import Envelope, Event
from runtime.observability.trace_context import TraceContext


class EventObserver:
    """Does nothing. `runtime.demo.recorder` has the observer that records."""

    def requested(self, context: TraceContext, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        """A request was answered; `scope` is its ASGI scope."""

    def written(self, ids: Sequence[UUID], events: Sequence[tuple[Event, TraceContext]]) -> None:
        """Events were committed to the outbox, under these ids."""

    def repeated(self, envelope: Envelope[Any]) -> None:
        """An event was delivered again after it had had its effect."""

    def parked(self, delivery: Delivery, why: str) -> None:
        """A message was parked."""

    def fired(self, kind: str, context: TraceContext) -> None:
        """A deadline was acted on."""

    def called(self, whom: str, what: str, answer: str, seconds: float) -> None:
        """A system outside was called, within the current trace."""


NO_OBSERVER = EventObserver()
