"""A trace as a waterfall: its steps in sequence and in parallel, with times."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
    def mark(self) -> str:
        """By which the page finds the line of a move."""
        return f"{self.event or self.name}@{self.service}"

    @property
    def start(self) -> float:
        return self.bars[0].start if self.bars else 0.0

    @property
    def end(self) -> float:
        return max((bar.start + bar.took for bar in self.bars), default=0.0)


ELSEWHERE = ("handled", "failed", "repeated", "parked", "lost")
"""Stages of an event at its consumers."""

_Steps = Mapping[str, list[Record]]
"""The records of one event, by stage."""


def rows(trace: Trace) -> list[Row]:
    """The lines, in the order of their beginning; those of consumers stand below the event."""
    steps: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in trace.records:
        steps[record.id][record.stage].append(record)
    found: list[Row] = []
    for record in _in_order(trace):
        if record.stage == "written" and record.id in steps:
            found += _event_rows(record, steps.pop(record.id), trace.began)
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


def _row(record: Record, began: float) -> Row:
    bar = Bar(record.stage, record.start - began, record.took)
    if record.stage == "requested":
        refused = record.status >= 400
        return Row(record.service, record.request, "", 0, (bar,), detail=str(record.status), problem=refused)
    if record.stage == "called":
        return Row(record.service, record.name, "", 1, (bar,), detail=record.answer, problem=record.answer != "paid")
    return Row(record.service, record.kind, "", 0, (bar,), note="flow.stage.fired")


def _event_rows(written: Record, steps: _Steps, began: float) -> Iterator[Row]:
    """The event's way to the exchange, and then a line for each consumer."""
    sent = max((record.at for record in steps["sent"]), default=None)
    confirmed = max((record.at for record in steps["confirmed"]), default=None)
    bars = [Bar("outbox", written.at - began, max((sent or written.at) - written.at, 0.0))]
    if sent is not None:
        bars.append(Bar("exchange", sent - began, max((confirmed or sent) - sent, 0.0)))
    waits = "" if confirmed else "flow.note.unpublished"
    yield Row(written.service, written.type, written.id, 0, tuple(bars), note=waits)
    elsewhere = sorted((one for stage in ELSEWHERE for one in steps[stage]), key=lambda record: record.at)
    for record in elsewhere:
        yield _consumer_row(record, sent, began)
    arrived = {record.service for record in elsewhere}
    for name in consumers(written) if sent is not None else ():
        if name not in arrived:
            yield Row(name, written.type, written.id, 1, (Bar("queue", (sent or 0) - began, 0.0),), "flow.note.waiting")


def _consumer_row(record: Record, sent: float | None, began: float) -> Row:
    bars: list[Bar] = []
    if record.stage == "handled":
        if record.taken is not None and sent is not None:
            bars.append(Bar("queue", sent - began, max(record.began - sent, 0.0)))  # in the consumer, too
        bars.append(Bar("handler", record.began - began, record.ended - record.began))
        bars.append(Bar("commit", record.ended - began, record.at - record.ended))
    else:
        bars.append(Bar(record.stage, record.at - began, 0.0))
    note = {"failed": "flow.note.failed"} | {stage: f"flow.stage.{stage}" for stage in ("repeated", "parked", "lost")}
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
