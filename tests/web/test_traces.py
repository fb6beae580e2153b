"""Traces: their summary, their waterfall, and the bounds of what is held of them."""

from itertools import permutations

import pytest

from services.web.flow.traces import MAX_HELD, MAX_RECORDS, Trace, Traces
from services.web.flow.waterfall import rows
from tests.harness.flow_records import CONSUMERS, cancellation, parsed


def trace(records: list[dict[str, object]]) -> Trace:
    """The only trace of these records."""
    traces = Traces()
    traces.add(parsed(records))
    return next(iter(traces.all.values()))


def test_a_trace_in_a_line() -> None:
    """A trace has its first request, its outcome, its state and its duration."""
    said = trace(cancellation()).summary()
    assert said["request"] == "POST /orders/{order_id}/cancel"
    assert (said["types"], said["outcome"], said["state"]) == (["OrderCancelled"], "cancelled", "done")
    assert round(said["took"], 3) == 0.035


def test_a_trace_is_named_by_its_order() -> None:
    """The product's title comes from placing the order, another trace, and from what was saved; the cancellation is
    found by the order's id."""
    placed, cancelled = (cancellation(name, at=at)[1] for name, at in (("one", 1.0), ("two", 2.0)))
    placed |= {"type": "OrderPlaced", "title": "Headset"}
    traces, again = Traces(), Traces()
    traces.add(parsed([placed, cancelled | {"channel": "cs"}]))
    said = traces.all["two"].summary()
    assert (said["order"], said["title"], said["channel"]) == ("order-1", "Headset", "cs")
    assert traces.find("order-1") is traces.find("two") is traces.all["two"]
    again.restore(traces.all["one"])
    again.add(parsed([cancelled]))
    assert again.all["two"].summary()["title"] == "Headset"


def test_events_are_listed_as_they_followed_from_each_other() -> None:
    """No event stands before its cause, in any order of arrival and with any skew between the services' clocks."""
    chain = [
        ("OrderCancelRequested", "orders", 3.0),
        ("OrderCancelled", "orders", 3.0),
        ("RefundIssued", "refunds", 2.9),
    ]
    records: list[dict[str, object]] = []
    for number, (name, service, at) in enumerate(chain):
        cause = f"event-{number - 1}" if number else "story"
        records.append({"stage": "written", "at": at, "service": service, "type": name, "id": f"event-{number}"})
        records[-1] |= {"story": "story", "cause": cause}
    records.append(
        {"stage": "requested", "at": 3.1, "took": 1.0, "service": "orders", "story": "story", "request": "POST /"}
    )
    for order in permutations(records):
        said = trace(list(order))
        assert said.summary()["types"] == [name for name, _, _ in chain]
        assert [row.name for row in rows(said) if row.level == 0] == ["POST /", *(name for name, _, _ in chain)]


def test_causes_that_go_round_in_a_circle_harm_nothing() -> None:
    """Events that name each other as their cause are listed all the same."""
    one, other = cancellation("x")[1], cancellation("x", at=999.0)[1]
    records = [one | {"cause": other["id"]}, other | {"cause": one["id"]}]
    assert trace(records).types() == ["OrderCancelled", "OrderCancelled"]


@pytest.mark.parametrize("name", ["RefundIssued", "OrderCancelled", "OrderCancelRequested", "RefundDelayed"])
def test_a_bad_event_is_no_outcome(name: str) -> None:
    """An event that is malformed, or parked everywhere, decides no outcome."""
    poison: dict[str, object] = {"story": "x", "id": "1", "type": name, "subject": "y"}
    written: dict[str, object] = {"stage": "written", "at": 1.0, "service": "refunds", **poison}
    parked: list[dict[str, object]] = [
        {"stage": "parked", "at": 2.0, "service": who, "error": "why", **poison} for who in ("chat", "orders")
    ]
    assert trace([written | {"broken": True}]).outcome == ""
    assert trace([written, *parked]).outcome == ""
    handled = {"stage": "handled", "at": 3.0, "service": "cs", "began": 2.0, "ended": 2.5, **poison}
    assert trace([written, *parked, handled]).outcome != ""


def test_a_trace_is_under_way_until_every_consumer_has_handled_it() -> None:
    """A trace is under way until every consumer has handled its events, parked once one is, done after a replay."""
    records = [one for one in cancellation() if one["service"] != "refunds"]
    assert trace(records).state == "under_way"
    event = {key: records[1][key] for key in ("story", "id", "type", "subject")}
    parked = {"stage": "parked", "at": 1_001.0, "service": "refunds", "error": "why", **event}
    assert trace([*records, parked]).state == "parked"
    replayed = {"stage": "handled", "at": 1_002.0, "service": "refunds", "began": 1_001.9, "ended": 1_001.95, **event}
    assert trace([*records, parked, replayed]).state == "done"


def test_the_waterfall_has_every_stage_in_its_order() -> None:
    """The waterfall has request, outbox and exchange, and for each consumer of an event queue, handler and commit."""
    drawn = rows(trace(cancellation()))
    assert [(row.service, row.level) for row in drawn] == [
        ("orders", 0),
        ("orders", 0),
        *((consumer, 1) for consumer in CONSUMERS),
    ]
    assert [[bar.kind for bar in row.bars] for row in drawn[:3]] == [
        ["requested"],
        ["outbox", "exchange"],
        ["queue", "handler", "commit"],
    ]
    times = [(round(bar.start, 3), round(bar.took, 3)) for row in drawn[:3] for bar in row.bars]
    assert times == [(0.0, 0.02), (0.015, 0.006), (0.021, 0.003), (0.021, 0.01), (0.031, 0.002), (0.033, 0.002)]


def test_the_waterfall_shows_what_has_not_arrived() -> None:
    """An event in the outbox waits there; a published one waits in the queues of consumers that have not handled it."""
    records = cancellation()
    assert [row.note for row in rows(trace(records[:2]))] == ["", "flow.note.unpublished"]
    waiting = [(row.service, row.note) for row in rows(trace(records[:4]))[2:]]
    assert waiting == [(name, "flow.note.waiting") for name in CONSUMERS]


def test_repeated_records_count_once() -> None:
    """A record that comes again, after a restart, changes nothing."""
    records = cancellation()
    assert len(trace([*records, *records]).records) == len(records)


def test_requests_push_out_no_cancellation() -> None:
    """A cancellation is still found after many requests without an event, of which the newest are held."""
    traces = Traces()
    traces.add(parsed(cancellation("cancelled")))
    for number in range(MAX_HELD + 50):
        traces.add(parsed(cancellation(f"request {number}")[:1]))
    assert (found := traces.find("order-1")) is not None
    assert found.correlation_id == "cancelled"
    assert len(traces.all) == MAX_HELD + 1
    assert found in traces.unsaved(1)


def test_memory_is_bounded() -> None:
    """The oldest traces are dropped, and of an endless trace only the beginning is held."""
    traces = Traces()
    for _ in range(MAX_HELD + 50):
        traces.add(parsed(cancellation()))
    assert len(traces.all) == MAX_HELD
    endless = cancellation("endless")[1:2]
    traces.add(parsed([endless[0] | {"at": 1_000.0 + number} for number in range(MAX_RECORDS * 2)]))
    assert len(traces.all["endless"].records) == MAX_RECORDS
    assert len(traces.latest(1_000)) == MAX_HELD
