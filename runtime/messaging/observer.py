"""What can be seen of an event on its way. Nobody looks, unless the process runs for demonstration."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from starlette.types import Scope

from runtime.messaging.bus import Delivery
from runtime.messaging.envelope import Envelope, Event
from runtime.observability.trace_context import TraceContext


class EventObserver:
    """Sees nothing. `runtime.demo.recorder` has one that tells what it sees."""

    def requested(self, context: TraceContext, scope: Scope, status: int, seconds: float) -> None:
        """A request was answered."""

    def written(self, ids: Sequence[UUID], events: Sequence[tuple[Event, TraceContext]]) -> None:
        """Events were committed to the outbox, under these ids."""

    def repeated(self, envelope: Envelope[Any]) -> None:
        """An event came that had had its effect before."""

    def parked(self, delivery: Delivery, why: str) -> None:
        """A message was set aside."""

    def fired(self, kind: str, context: TraceContext) -> None:
        """A deadline was acted on."""

    def called(self, whom: str, what: str, answer: str, seconds: float) -> None:
        """Somebody outside was asked for something, within the story that is being told."""


NO_OBSERVER = EventObserver()
