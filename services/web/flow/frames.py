"""Frames for the browsers: several a second, each with everything that happened since the last one.

Records of one kind are drawn as one, with their number; what does not fit is counted.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from services.web.flow.records import Record
from services.web.flow.traces import Trace, consumers

MAX_ALONE = 3
"""Up to so many of one kind in one frame are drawn separately; more become one, with their number."""
MAX_MOVES = 40
"""Moves that are drawn of one frame."""
MAX_TRACES = 8
"""Traces that a frame can update."""
DRAWN = frozenset(
    {"requested", "written", "sent", "handled", "failed", "repeated", "parked", "lost", "fired", "called"}
)
"""All but `confirmed`, which belongs to the trace but moves nothing."""


class Frames:
    """Makes frames of records. Its size is bounded, however many records arrive."""

    def __init__(self) -> None:
        self.records = 0
        """All that were read."""
        self.lost = 0
        """Those that a service wrote or dropped, and that were never read here."""
        self.grouped = 0
        """Those that were drawn as one of several."""
        self.undrawn = 0
        """Those that were not drawn at all."""
        self.clock = 0.0
        """Seconds by which the time that the pages show is ahead of that of the records."""
        self._number = 0
        self._moves: dict[tuple[str, str, str], list[Record]] = {}
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._traces: dict[str, Trace] = {}
        self._more_traces: set[str] = set()

    @property
    def empty(self) -> bool:
        """Whether there is nothing new since the last frame."""
        return not self._counts and not self._traces

    def add(self, records: Sequence[Record], traces: Iterable[Trace]) -> None:
        """Adds new records, and the traces that they changed."""
        self.records += len(records)
        for record in records:
            if record.stage in DRAWN:
                key = (record.stage, record.service, record.name)
                self._counts[key] += 1
                group = self._moves.setdefault(key, [])
                if len(group) < MAX_ALONE:
                    group.append(record)
        for trace in traces:
            if (
                trace.correlation_id in self._traces
                or len(self._traces) < MAX_TRACES
                or (trace.outcome and self._make_room())
            ):
                self._traces[trace.correlation_id] = trace
                self._more_traces.discard(trace.correlation_id)
            else:
                self._more_traces.add(trace.correlation_id)

    def _make_room(self) -> bool:
        """Drops a trace that is no cancellation; False if there is none."""
        other = next((trace for trace in self._traces.values() if not trace.outcome), None)
        if other is None:
            return False
        del self._traces[other.correlation_id]
        self._more_traces.add(other.correlation_id)
        return True

    def take(self) -> str:
        """The frame, as JSON; then begins a new one."""
        moves: list[dict[str, Any]] = []
        for key, group in self._moves.items():
            count = self._counts[key]
            group = sorted(group, key=lambda record: record.start)
            wanted = [move(group[0], count)] if count > MAX_ALONE else [move(record) for record in group]
            if len(moves) + len(wanted) > MAX_MOVES:
                self.undrawn += count
                continue
            self.grouped += count if count > MAX_ALONE else 0
            moves += wanted
        moves.sort(key=lambda one: one["began"])
        self._number += 1
        frame = {
            "frame": self._number,
            "clock": self.clock,
            "moves": moves,
            "stories": [trace.summary() for trace in self._traces.values()],
            "more_stories": len(self._more_traces),
            "totals": self.totals(),
        }
        self._moves, self._counts, self._traces, self._more_traces = {}, Counter(), {}, set()
        return json.dumps(frame)

    def totals(self) -> dict[str, int]:
        """Every record is counted in one of these."""
        return {"records": self.records, "lost": self.lost, "together": self.grouped, "undrawn": self.undrawn}


def move(record: Record, count: int = 1) -> dict[str, Any]:
    """The record, or one of `count` of its kind, as it is drawn."""
    drawn: dict[str, Any] = {
        "stage": record.stage,
        "service": record.service,
        "name": record.name,
        "at": record.at,
        "began": record.start,
        "count": count,
    }
    if record.stage == "sent":
        drawn["to"] = consumers(record)
    if record.stage == "requested":
        drawn["status"] = record.status
    if count == 1:
        facts = {"id": record.id, "story": record.correlation_id, "cause": record.cause, "answer": record.answer}
        drawn |= {key: value for key, value in facts.items() if value}
    return drawn
