"""Frames: everything that happens is in one, drawn alone, drawn together, or counted."""

import json
from typing import Any

from services.web.flow.frames import MAX_ALONE, MAX_MOVES, MAX_TRACES, Frames
from services.web.flow.records import Record
from services.web.flow.traces import Traces
from tests.harness.flow_records import CONSUMERS, cancellation, parsed


def frame_of(frames: Frames, records: list[dict[str, Any]]) -> dict[str, Any]:
    """The frame in which all of it happens."""
    read = parsed(records)
    frames.add(read, Traces().add(read).values())
    found: dict[str, Any] = json.loads(frames.take())
    return found


def test_a_single_cancellation_is_drawn_step_by_step() -> None:
    """Each step is one move, with the event's id and its destination."""
    frame = frame_of(Frames(), cancellation())
    assert [(move["stage"], move["service"], move["count"]) for move in frame["moves"]] == [
        ("requested", "orders", 1),
        ("written", "orders", 1),
        ("sent", "orders", 1),
        *(("handled", consumer, 1) for consumer in CONSUMERS),
    ]
    assert frame["moves"][2]["to"] == list(CONSUMERS)
    assert len({move["id"] for move in frame["moves"][1:]}) == 1
    assert [trace["outcome"] for trace in frame["stories"]] == ["cancelled"]


def test_moves_are_in_the_order_in_which_they_began() -> None:
    """What began earlier is drawn earlier, in any order of arrival."""
    records = cancellation()
    moves = frame_of(Frames(), records[::-1])["moves"]
    assert [move["stage"] for move in moves[:3]] == ["requested", "written", "sent"]
    assert {move["stage"] for move in moves[3:]} == {"handled"}


def test_many_of_a_kind_are_drawn_as_one_and_counted() -> None:
    """Fifty cancellations in a frame are as many moves as one has, each with its number; nothing goes uncounted."""
    frames = Frames()
    frame = frame_of(frames, [record for _ in range(50) for record in cancellation()])
    assert [move["count"] for move in frame["moves"]] == [50] * 7
    assert frame["totals"] == {"records": 400, "lost": 0, "together": 350, "undrawn": 0}
    assert (len(frame["stories"]), frame["more_stories"]) == (MAX_TRACES, 50 - MAX_TRACES)


def test_moves_beyond_the_limit_are_counted() -> None:
    """A frame has a bounded number of moves, and counts the moves that are left out."""
    frames = Frames()
    frame = frame_of(frames, [record for n in range(100) for record in cancellation(type=f"Kind{n}")[1:2]])
    assert len(frame["moves"]) == MAX_MOVES
    assert frame["totals"]["undrawn"] == 100 - MAX_MOVES
    again = frame_of(frames, cancellation()[:1])
    assert (again["frame"], len(again["moves"]), again["totals"]["records"]) == (2, 1, 101)


def test_a_few_of_a_kind_are_drawn_each() -> None:
    """Up to the limit every move of a kind is a dot of its own."""
    frame = frame_of(Frames(), [record for _ in range(MAX_ALONE) for record in cancellation()[:1]])
    assert [move["count"] for move in frame["moves"]] == [1] * MAX_ALONE


def test_cancellations_are_drawn_before_other_traces() -> None:
    """Accounts that are registered in the same moment do not push a cancellation off the page; they wait for the next
    frame, and are counted."""
    names = ["AccountRegistered"] * (MAX_TRACES + 2) + ["OrderCancelRequested"]
    parsed = [
        Record(
            stage="written", at=1.0, service="orders", correlation_id=f"story {number}", id=f"event {number}", type=name
        )
        for number, name in enumerate(names)
    ]
    frames, traces = Frames(), Traces()
    for record in parsed:
        frames.add([record], traces.add([record]).values())
    frame = json.loads(frames.take())
    assert len(frame["stories"]) == MAX_TRACES
    assert frame["stories"][-1]["types"] == ["OrderCancelRequested"]
    assert frame["more_stories"] == len(names) - MAX_TRACES
    left = json.loads(frames.take())
    assert (len(left["stories"]), left["more_stories"]) == (len(names) - MAX_TRACES, 0), (
        "the last state of each is sent"
    )
    assert frames.empty
