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
"""Traces that a frame can update; others wait for the next ones."""
MAX_WAITING = 100
"""Traces that wait, at most: more than a page lists."""
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
        """Those that have changed since a frame had them."""
        self._dropped = 0

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
        self._traces |= {trace.correlation_id: trace for trace in traces}
        while len(self._traces) > MAX_WAITING:
            self._dropped += 1
            del self._traces[min(self._traces, key=lambda one: bool(self._traces[one].outcome))]

    def _take_traces(self) -> list[Trace]:
        """Those that have waited longest, cancellations before others."""
        chosen = {*sorted(self._traces, key=lambda one: not self._traces[one].outcome)[:MAX_TRACES]}
        return [self._traces.pop(one) for one in tuple(self._traces) if one in chosen]

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
            "stories": [trace.summary() for trace in self._take_traces()],
            "more_stories": len(self._traces) + self._dropped,
            "totals": self.totals(),
        }
        self._moves, self._counts, self._dropped = {}, Counter(), 0
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
