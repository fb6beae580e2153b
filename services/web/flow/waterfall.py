"""A trace as a waterfall: its steps in sequence and in parallel, with times."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.web.flow.records import Record
from services.web.flow.traces import Trace, consumers


@dataclass(frozen=True)
class Bar:
    """One step. `kind` is its stage, `start` is in seconds from the beginning of the trace, `took` in seconds."""

    kind: str
    start: float
    took: float


@dataclass(frozen=True)
class Row:
    """One line: where (a service), what (an event, a request, a call), and its bars."""

    service: str
    name: str
    event: str
    """The id of its event, or empty."""
    level: int
    """0 for a cause, 1 for what follows from the line above."""
    bars: tuple[Bar, ...]
    note: str = ""
    """A key of `words`, or empty."""
    detail: str = ""
    problem: bool = False

    @property
    def start(self) -> float:
        return self.bars[0].start if self.bars else 0.0

    @property
    def end(self) -> float:
        return max((bar.start + bar.took for bar in self.bars), default=0.0)


@dataclass
class _Event:
    """What is known of one event."""

    written: Record
    sent: list[Record] = field(default_factory=list)
    confirmed: list[Record] = field(default_factory=list)
    elsewhere: list[Record] = field(default_factory=list)
    """At its consumers."""


def rows(trace: Trace) -> list[Row]:
    """The lines, in the order of their beginning; those of consumers stand below the event."""
    events = _events(trace)
    found: list[Row] = []
    for record in _in_order(trace):
        if record.stage == "written" and record.id in events:
            found += _event_rows(events.pop(record.id), trace.began)
        elif record.stage in ("requested", "called", "fired"):
            found.append(_row(record, trace.began))
        elif record.stage in ("parked", "failed") and not record.id:
            found.append(_consumer_row(record, None, trace.began))
    return found


def _in_order(trace: Trace) -> Iterator[Record]:
    """All records by their beginning, but no event before its cause."""
    others = sorted((record for record in trace.records if record.stage != "written"), key=lambda record: record.start)
    for event in trace.written():
        while others and others[0].start <= event.at:
            yield others.pop(0)
        yield event
    yield from others


def _events(trace: Trace) -> dict[str, _Event]:
    events = {record.id: _Event(record) for record in trace.records if record.stage == "written"}
    for record in trace.records:
        if (event := events.get(record.id)) is not None:
            match record.stage:
                case "sent":
                    event.sent.append(record)
                case "confirmed":
                    event.confirmed.append(record)
                case "handled" | "failed" | "repeated" | "parked":
                    event.elsewhere.append(record)
    return events


def _row(record: Record, began: float) -> Row:
    bar = Bar(record.stage, record.start - began, record.took)
    if record.stage == "requested":
        refused = record.status >= 400
        return Row(record.service, record.request, "", 0, (bar,), detail=str(record.status), problem=refused)
    if record.stage == "called":
        return Row(record.service, record.name, "", 1, (bar,), detail=record.answer, problem=record.answer != "paid")
    return Row(record.service, record.kind, "", 0, (bar,), note="flow.note.fired")


def _event_rows(event: _Event, began: float) -> Iterator[Row]:
    """The event's way to the exchange, and then a line for each consumer."""
    written = event.written
    sent = max((record.at for record in event.sent), default=None)
    confirmed = max((record.at for record in event.confirmed), default=None)
    bars = [Bar("outbox", written.at - began, max((sent or written.at) - written.at, 0.0))]
    if sent is not None:
        bars.append(Bar("exchange", sent - began, max((confirmed or sent) - sent, 0.0)))
    waits = "" if confirmed else "flow.note.unpublished"
    yield Row(written.service, written.type, written.id, 0, tuple(bars), note=waits)
    for record in sorted(event.elsewhere, key=lambda record: record.at):
        yield _consumer_row(record, sent, began)
    arrived = {record.service for record in event.elsewhere}
    for name in consumers(written) if sent is not None else ():
        if name not in arrived:
            yield Row(name, written.type, written.id, 1, (Bar("queue", (sent or 0) - began, 0.0),), "flow.note.waiting")


def _consumer_row(record: Record, sent: float | None, began: float) -> Row:
    bars: list[Bar] = []
    if record.stage == "handled":
        if record.taken is not None and sent is not None:
            bars.append(Bar("queue", sent - began, max(record.taken - sent, 0.0)))
        bars.append(Bar("handler", record.began - began, record.ended - record.began))
        bars.append(Bar("commit", record.ended - began, record.at - record.ended))
    else:
        bars.append(Bar(record.stage, record.at - began, 0.0))
    note = {"failed": "flow.note.failed", "repeated": "flow.note.repeated", "parked": "flow.note.parked"}
    replayed = "flow.note.replayed" if record.stage == "handled" and record.taken is None else ""
    return Row(
        record.service,
        record.name,
        record.id,
        1,
        tuple(bars),
        note=note.get(record.stage, replayed),
        detail=record.error,
        problem=record.stage in ("failed", "parked"),
    )
