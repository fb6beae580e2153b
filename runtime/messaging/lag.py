"""How long events take from the change that they tell of to their effect."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from runtime.messaging.envelope import Envelope
from runtime.observability.telemetry import EVENT_LAG, QUEUE_AGE
from runtime.observability.trace_context import is_recorded, span_ids


class Lag:
    """Measures the events of one queue."""

    def __init__(self, service: str, queue: str) -> None:
        self.in_hand: Envelope[Any] | None = None
        """The event that is being handled. The broker delivers in order, so it is the oldest of the queue."""
        self._service = service
        self._labels = service, queue
        self._ahead = timedelta(0)
        """The database's time minus that of this machine: a wrong clock makes no event old."""

    def show(self) -> None:
        """From now on the age of the event in hand is shown; it is computed when it is scraped."""
        QUEUE_AGE.labels(*self._labels).set_function(self.age)

    def hide(self) -> None:
        """The age is not known any more."""
        self.in_hand = None
        with suppress(KeyError):
            QUEUE_AGE.remove(*self._labels)

    def age(self) -> float:
        """The age of the event in hand, in seconds; 0 if there is none."""
        return self._seconds_since(self.in_hand) if self.in_hand else 0.0

    def observe(self, effective: Sequence[Envelope[Any]], now: datetime, began: float) -> None:
        """These events have just had their effect. `now`: the database's time a moment after `began` was taken."""
        self._ahead = now + timedelta(seconds=perf_counter() - began) - datetime.now(UTC)
        for envelope in effective:
            published = envelope.traceparent
            exemplar = span_ids(published) if is_recorded(published) else None
            EVENT_LAG.labels(self._service, envelope.type).observe(self._seconds_since(envelope), exemplar)

    def _seconds_since(self, envelope: Envelope[Any]) -> float:
        return max(0.0, (datetime.now(UTC) + self._ahead - envelope.time).total_seconds())
