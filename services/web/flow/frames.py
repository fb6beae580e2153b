"""What is sent to browsers: a frame some times a second, with everything that happened since the last one.

What happens more than once in a frame is drawn once, with its number; what there is no room for is counted.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from services.web.flow.records import Record
from services.web.flow.traces import Trace, consumers

MAX_ALONE = 3
"""So many of one kind in one frame are drawn each by itself; more become one, with their number."""
MAX_MOVES = 40
"""Things that are drawn of one frame."""
MAX_TRACES = 8
"""Stories that a frame can say something new of."""
DRAWN = frozenset({"requested", "written", "sent", "handled", "failed", "repeated", "parked", "fired", "called"})
"""All but `confirmed`, which belongs to the story but moves nothing."""


class Frames:
    """Gathers records and makes frames of them. What it holds is bounded, however much happens."""

    def __init__(self) -> None:
        self.records = 0
        """All that were heard of."""
        self.lost = 0
        """Those that were told, or dropped by their teller, and never heard of here."""
        self.together = 0
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
        """Whether nothing has happened since the last frame."""
        return not self._counts and not self._traces

    def add(self, records: Sequence[Record], traces: Iterable[Trace]) -> None:
        """What has happened, and of which stories."""
        self.records += len(records)
        for record in records:
            if record.stage in DRAWN:
                key = (record.stage, record.service, record.name)
                self._counts[key] += 1
                alike = self._moves.setdefault(key, [])
                if len(alike) < MAX_ALONE:
                    alike.append(record)
        for trace in traces:
            if trace.story in self._traces or len(self._traces) < MAX_TRACES or (trace.outcome and self._make_room()):
                self._traces[trace.story] = trace
                self._more_traces.discard(trace.story)
            else:
                self._more_traces.add(trace.story)

    def _make_room(self) -> bool:
        """Leaves out a story that is no cancellation, for one that is; False if there is none."""
        other = next((trace for trace in self._traces.values() if not trace.outcome), None)
        if other is None:
            return False
        del self._traces[other.story]
        self._more_traces.add(other.story)
        return True

    def take(self) -> str:
        """The frame, as JSON; then begins a new one."""
        moves: list[dict[str, Any]] = []
        for key, alike in self._moves.items():
            count = self._counts[key]
            alike = sorted(alike, key=lambda record: record.start)
            wanted = [_move(alike[0], count)] if count > MAX_ALONE else [_move(record, 1) for record in alike]
            if len(moves) + len(wanted) > MAX_MOVES:
                self.undrawn += count
                continue
            self.together += count if count > MAX_ALONE else 0
            moves += wanted
        moves.sort(key=lambda move: move.pop("began"))
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
        """Everything is in one of these."""
        return {"records": self.records, "lost": self.lost, "together": self.together, "undrawn": self.undrawn}


def _move(record: Record, count: int) -> dict[str, Any]:
    move: dict[str, Any] = {
        "stage": record.stage,
        "service": record.service,
        "name": record.name,
        "at": record.at,
        "began": record.start,
        "count": count,
    }
    if record.stage == "sent":
        move["to"] = consumers(record)
    if record.stage == "requested":
        move["status"] = record.status
    if count == 1:
        facts = {"id": record.id, "story": record.story, "cause": record.cause, "answer": record.answer}
        move |= {key: value for key, value in facts.items() if value}
    return move
