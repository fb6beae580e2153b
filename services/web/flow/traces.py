"""Traces: all records of one correlation id, and a summary of them."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from contracts import EVENTS
from services.web.flow.records import Record

MAX_HELD = 300
"""Traces with events that are held in memory, and traces without: requests that only read push out no cancellation."""
MAX_RECORDS = 120
"""Records of one trace; a cancellation has about twenty."""

MAX_TITLES = 5_000
"""Orders whose product is remembered, for the names of their traces."""

ABOUT_ORDERS = {event.wire_name for event in EVENTS if event.subject_field == "order_id"}
CONSUMERS = {event.wire_name: event.consumed_by for event in EVENTS}
_OUTCOMES = {
    "RefundIssued": "refunded",
    "OrderCancelRejected": "rejected",
    "RefundDelayed": "delayed",
    "OrderCancelled": "cancelled",
    "OrderItemsCancelled": "cancelled",
    "OrderCancelRequested": "asked",
}
"""The outcome of a cancellation, by the first of these events that was written."""


def consumers(record: Record) -> list[str]:
    """The services whose queues get the event."""
    return [name for name in CONSUMERS.get(record.type, ()) if name != record.service]


@dataclass
class Trace:
    """One trace; `began` and `last` in seconds since 1970."""

    correlation_id: str
    records: list[Record] = field(default_factory=list)
    marks: set[tuple[str, str, str, float]] = field(default_factory=set)
    unsaved: bool = True
    """Whether it has changed since it was last saved."""
    merged: bool = False
    """Whether it has what the database may have of it."""
    began: float = 0.0
    last: float = 0.0

    def add(self, records: Iterable[Record]) -> None:
        """Adds what is new, up to `MAX_RECORDS`."""
        for record in records:
            if record.mark in self.marks or len(self.records) >= MAX_RECORDS:
                continue
            self.marks.add(record.mark)
            self.records.append(record)
            self.unsaved = True
            self.began = min(self.began or record.start, record.start)
            self.last = max(self.last, record.at)

    def written(self) -> list[Record]:
        """Its events, each after its cause. Records arrive in another order, and each service has its own clock."""
        events = {record.id: record for record in self.records if record.stage == "written"}

        def position(record: Record) -> tuple[float, int]:
            line = {record.id: record}
            while (cause := events.get(record.cause)) is not None and cause.id not in line:
                line[cause.id] = record = cause
            return max(one.at for one in line.values()), len(line)

        return sorted((record for record in self.records if record.stage == "written"), key=position)

    def types(self) -> list[str]:
        """The names of its events, in the order in which they followed from each other."""
        return [record.type for record in self.written()]

    @property
    def eventful(self) -> bool:
        """Whether it has an event."""
        return any(record.stage == "written" for record in self.records)

    @property
    def order(self) -> str:
        """The id of the order that it is about, or empty."""
        return next((one.subject for one in self.records if one.type in ABOUT_ORDERS and one.stage == "written"), "")

    @property
    def outcome(self) -> str:
        """The outcome of a cancellation, or empty. A poison message does not count, nor an event that was parked and
        handled nowhere."""
        aside = {one.id for one in self.records if one.stage == "parked"}
        aside -= {one.id for one in self.records if one.stage in ("handled", "repeated")}
        types = {one.type for one in self.records if one.stage == "written" and not one.broken and one.id not in aside}
        return next((word for kind, word in _OUTCOMES.items() if kind in types), "")

    @property
    def state(self) -> str:
        """`parked`, `under_way`, or `done` when every event has arrived everywhere."""
        written = {record.id: record for record in self.records if record.stage == "written"}
        arrived = {(one.id, one.service) for one in self.records if one.stage in ("handled", "repeated")}
        parked = {(one.id, one.service) for one in self.records if one.stage == "parked"}
        missing = {(one.id, name) for one in written.values() for name in consumers(one)} - arrived
        confirmed = {one.id for one in self.records if one.stage == "confirmed"}
        if missing & parked:
            return "parked"
        if missing or set(written) - confirmed or self.outcome == "delayed":
            return "under_way"
        return "done"

    def summary(self) -> dict[str, Any]:
        """The trace in a line of the list."""
        request = next((one.request for one in self.records if one.request), "")
        types = self.types()
        return {
            "story": self.correlation_id,
            "request": request,
            "order": self.order,
            "title": next((one.title for one in self.records if one.title), ""),
            "channel": next((one.channel for one in self.records if one.channel), ""),
            "types": list(dict.fromkeys(types)),
            "events": len(types),
            "outcome": self.outcome,
            "state": self.state,
            "began": self.began,
            "took": self.last - self.began,
        }


class Traces:
    """The latest traces; the oldest are dropped."""

    def __init__(self) -> None:
        self.all: OrderedDict[str, Trace] = OrderedDict()
        self._titles: OrderedDict[str, str] = OrderedDict()

    def restore(self, trace: Trace) -> None:
        """Takes a saved trace."""
        self.all[trace.correlation_id] = trace
        for record in trace.records:
            self._titled(record)

    def add(self, records: Sequence[Record]) -> dict[str, Trace]:
        """Adds records to their traces; returns the changed traces that have events."""
        touched: dict[str, Trace] = {}
        by_trace: dict[str, list[Record]] = {}
        for record in records:
            if record.correlation_id:
                by_trace.setdefault(record.correlation_id, []).append(self._titled(record))
        for correlation_id, new in by_trace.items():
            trace = self.all.setdefault(correlation_id, Trace(correlation_id))
            trace.add(new)
            self.all.move_to_end(correlation_id)
            if trace.eventful:
                touched[correlation_id] = trace
        if len(self.all) > MAX_HELD:
            self._drop_oldest()
        return touched

    def _drop_oldest(self) -> None:
        for eventful in (True, False):
            held = [one for one, trace in self.all.items() if trace.eventful is eventful]
            for correlation_id in held[:-MAX_HELD]:
                del self.all[correlation_id]

    def _titled(self, record: Record) -> Record:
        """The record with the title of its order's product: only the event of placing the order has it."""
        if record.stage != "written" or record.type not in ABOUT_ORDERS:
            return record
        if record.title:
            self._titles[record.subject] = record.title
            if len(self._titles) > MAX_TITLES:
                self._titles.popitem(last=False)
        elif title := self._titles.get(record.subject):
            return record.model_copy(update={"title": title})
        return record

    def find(self, either: str) -> Trace | None:
        """The trace with this id, or the newest cancellation of the order with this id."""
        of_order = (trace for trace in reversed(self.all.values()) if trace.outcome and trace.order == either)
        return self.all.get(either) or next(of_order, None)

    def latest(self, limit: int) -> list[Trace]:
        """The newest traces first, without requests that published nothing."""
        return list(islice((trace for trace in reversed(self.all.values()) if trace.eventful), limit))

    def unsaved(self, limit: int) -> list[Trace]:
        """Those of the newest that have changed; of some only the end may be in memory."""
        if not any(trace.unsaved for trace in self.all.values()):  # as nearly always
            return []
        ends = (trace for trace in self.all.values() if not trace.eventful and not trace.merged)
        return [trace for trace in (*self.latest(limit), *ends) if trace.unsaved]
