"""What travels between services stays as it was published: old messages can be read, new ones look the same."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import contracts
from contracts import EVENTS
from runtime.messaging.envelope import MAX_BODY, Envelope, Event, EventReader, UnreadableEvent
from runtime.messaging.outbox import _message
from tests.contracts.shapes import SCHEMAS, shape, snapshot

GOLDEN = Path(__file__).parent / "golden"
READER = EventReader({event.wire_name: event for event in EVENTS})

each_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.wire_name)


def golden(event: type[Event]) -> dict[str, Any]:
    """A message as it once travelled."""
    envelope: dict[str, Any] = json.loads((GOLDEN / f"{event.wire_name}.json").read_text())
    return envelope


def read(envelope: dict[str, Any]) -> Envelope[Any]:
    """The message as a service reads it."""
    return READER.read(json.dumps(envelope).encode(), f"{envelope['source']}.{envelope['type']}")


@each_event
def test_a_message_that_once_travelled_can_still_be_read(event: type[Event]) -> None:
    """The current code understands it, and writes the same data under the same name."""
    envelope = golden(event)
    understood = read(envelope)
    assert type(understood.data) is event
    assert json.loads(understood.data.model_dump_json()) == envelope["data"]
    assert understood.data.subject == envelope["subject"]


@each_event
def test_the_relay_writes_that_very_message(event: type[Event]) -> None:
    """Out of a row of the outbox comes the same envelope, member by member, as one valid JSON object."""
    envelope = golden(event)
    understood = read(envelope)
    row: Any = {
        "event_id": understood.id,
        "type": event.wire_name,
        "subject": understood.data.subject,
        "dataschema": event.dataschema(),
        "routing_key": f"{understood.source}.{event.wire_name}",
        "mandatory": True,
        "correlation_id": understood.correlationid,
        "causation_id": understood.causationid,
        "traceparent": understood.traceparent,
        "data": understood.data.model_dump_json(),
        "sequence": understood.sequence,
        "time": envelope["time"],
    }
    written = _message(understood.source, row)
    assert json.loads(written.body) == envelope
    assert READER.read(written.body, written.routing_key) == understood
    assert json.loads(understood.to_json()) == envelope


@each_event
def test_what_is_added_later_is_ignored(event: type[Event]) -> None:
    """A reader of today understands messages of tomorrow: members that it does not know do not disturb it."""
    envelope = golden(event)
    expected = read(envelope)
    envelope["tenant"] = {"of": "tomorrow"}
    envelope["data"]["added"] = ["tomorrow", None]
    for line in envelope["data"].get("lines", []):
        line["discount"] = 5
    assert read(envelope) == expected


@each_event
def test_a_word_that_an_enumeration_gets_later_is_kept(event: type[Event]) -> None:
    """A word that is not known here is read and written as it is; what is no word that can be kept is refused."""
    schema = event.model_json_schema()
    assert "enum" not in json.dumps(schema), "a closed enumeration: one more word would have to be parked"
    for member, field in schema["properties"].items():
        if "a word that was added later" not in field.get("description", ""):
            continue
        envelope = golden(event)
        envelope["data"][member] = "kiosk"
        understood = read(envelope)
        assert getattr(understood.data, member) == "kiosk"
        assert json.loads(understood.to_json()) == envelope
        for wrong in ("kio\0sk", "k" * 201, 7, None):
            envelope["data"][member] = wrong
            with pytest.raises(UnreadableEvent, match=member):
                read(envelope)


@each_event
def test_a_message_without_one_of_its_members_is_refused(event: type[Event]) -> None:
    """Nothing that is needed is guessed."""
    for member in event.model_json_schema().get("required", []):
        envelope = golden(event)
        del envelope["data"][member]
        with pytest.raises(UnreadableEvent):
            read(envelope)


@each_event
def test_a_published_shape_does_not_change(event: type[Event]) -> None:
    """Other services, and messages on their way, count on it."""
    path = snapshot(event)
    assert path.exists(), f"{event.wire_name} has no published shape yet: python -m tests.contracts.shapes"
    assert shape(event) == json.loads(path.read_text()), (
        f"the shape of {event.wire_name} version {event.version} is published and has changed: "
        "bump the version, keep the old file, and write the new one with python -m tests.contracts.shapes"
    )


def test_every_file_belongs_to_an_event() -> None:
    """No golden message or shape is left that nothing checks."""
    names = {event.wire_name for event in EVENTS}
    assert {path.stem for path in GOLDEN.iterdir()} == names
    assert {path.name.partition(".")[0] for path in SCHEMAS.iterdir()} == names


def test_every_event_is_listed_under_a_name_of_its_own() -> None:
    """The list of events holds each class of the contracts once, and no wire name stands for two."""
    classes = {
        thing
        for module in vars(contracts).values()
        if inspect.ismodule(module) and module.__name__.startswith("contracts.")
        for thing in vars(module).values()
        if inspect.isclass(thing) and issubclass(thing, Event) and thing is not Event
    }
    assert set(EVENTS) == classes
    assert len(EVENTS) == len(classes) == len({event.wire_name for event in EVENTS})


@each_event
def test_amounts_are_whole_and_not_negative(event: type[Event]) -> None:
    """Money is an integer of rupiah that cannot be below zero, a fraction, or text."""
    for member in {"amount", "paid_amount", "total"} & event.model_fields.keys():
        for wrong in (-1, 1.5, "1", None, True, 10**13):
            envelope = golden(event)
            envelope["data"][member] = wrong
            with pytest.raises(UnreadableEvent, match=member):
                read(envelope)


@each_event
def test_an_event_is_far_smaller_than_the_limit(event: type[Event]) -> None:
    """Even the usual message many times over is read."""
    assert len(json.dumps(golden(event))) * 50 < MAX_BODY
