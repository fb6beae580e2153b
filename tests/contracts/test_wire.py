"""Published events stay as they are: old messages can be read, and new ones have the same shape."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import contracts
from contracts import EVENTS
from runtime.messaging.envelope import MAX_BODY, Envelope, Event, EventReader, UnreadableEvent
from runtime.messaging.relay import _message
from tests.contracts.examples import example
from tests.contracts.shapes import GOLDEN, SCHEMAS, breaking_changes, files, golden_path, shape

READER = EventReader({event.wire_name: event for event in EVENTS})

each_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.wire_name)


def golden(event: type[Event]) -> dict[str, Any]:
    """A message as it was published once."""
    envelope: dict[str, Any] = json.loads(golden_path(event).read_text())
    return envelope


def read(envelope: dict[str, Any]) -> Envelope[Any]:
    """The message as a service reads it."""
    return READER.read(json.dumps(envelope).encode(), f"{envelope['source']}.{envelope['type']}")


@each_event
def test_a_message_that_was_published_once_can_still_be_read(event: type[Event]) -> None:
    """The current code reads the golden message, and writes the same data under the same name."""
    envelope = golden(event)
    understood = read(envelope)
    assert type(understood.data) is event
    assert json.loads(understood.data.model_dump_json(exclude_unset=True)) == envelope["data"]
    assert understood.data.subject == envelope["subject"]


@each_event
def test_the_relay_writes_that_very_message(event: type[Event]) -> None:
    """The relay makes the golden message out of a row of the outbox, member by member."""
    envelope = golden(event)
    understood = read(envelope)
    envelope["data"] |= json.loads(understood.data.model_dump_json())  # fields that were added since
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
    """An unknown word of an enumeration is read and written as it is; what cannot be stored is refused."""
    schema = event.model_json_schema()
    assert "enum" not in json.dumps(schema), "a closed enumeration: one more word would have to be parked"
    for member, field in schema["properties"].items():
        if "a word that was added later" not in field.get("description", ""):
            continue
        envelope = golden(event)
        envelope["data"][member] = "kiosk"
        understood = read(envelope)
        assert getattr(understood.data, member) == "kiosk"
        assert json.loads(understood.data.model_dump_json(exclude_unset=True)) == envelope["data"]
        for wrong in ("kio\0sk", "k" * 201, 7, None):
            envelope["data"][member] = wrong
            with pytest.raises(UnreadableEvent, match=member):
                read(envelope)


@each_event
def test_a_message_without_one_of_its_members_is_refused(event: type[Event]) -> None:
    """A missing required field is refused."""
    for member in event.model_json_schema().get("required", []):
        envelope = golden(event)
        del envelope["data"][member]
        with pytest.raises(UnreadableEvent):
            read(envelope)


class Reminded(Event, subject="order_id", published_by=("orders",)):
    """An event that is published."""

    order_id: UUID
    lines: tuple[dict[str, int], ...] = ()
    note: str | None = None


class Extended(Reminded, name="Reminded", subject="order_id", published_by=("orders",)):
    """The same event with one more field, which may be missing."""

    channel: str | None = None


def test_a_field_that_may_be_missing_can_be_added() -> None:
    """An optional field needs no new event: messages without it can be read."""
    assert list(breaking_changes(shape(Reminded), shape(Extended))) == []
    message = json.dumps(example(Reminded, shape(Reminded))).encode()
    assert EventReader({"Reminded": Extended}).read(message, "orders.Reminded").data.channel is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda now: now["properties"].pop("note"), "data.note is gone"),
        (lambda now: now["properties"].update(text=now["properties"].pop("note")), "data.note is gone"),
        (lambda now: now["required"].append("note"), "data.note is required now"),
        (lambda now: now["required"].remove("order_id"), "data.order_id may be missing now"),
        (lambda now: now["properties"]["order_id"].update(maxLength=3), "data.order_id is"),
        (lambda now: now["properties"]["note"]["anyOf"].pop(), "data.note is"),
        (lambda now: now["properties"]["note"]["anyOf"][0].update(type="integer"), "data.note[] is"),
        (lambda now: now["properties"]["lines"]["items"].update(type="string"), "data.lines[] is"),
    ],
    ids=["removed", "renamed", "required", "optional", "narrowed", "not null", "other type", "inside a list"],
)
def test_other_changes_of_a_published_shape_are_refused(change: Callable[[Any], Any], complaint: str) -> None:
    """A removed, renamed, required, optional or narrowed field needs a new event."""
    now = json.loads(json.dumps(shape(Reminded)))
    change(now)
    assert any(found.startswith(complaint) for found in breaking_changes(shape(Reminded), now))


def test_every_file_is_what_the_contracts_say() -> None:
    """Shapes, golden messages and the catalogue are those that `make contracts` writes, and none is left over."""
    assert [path.name for path, text in files().items() if not path.exists() or path.read_text() != text] == []
    names = {event.wire_name for event in EVENTS}
    assert {path.stem for path in GOLDEN.iterdir()} == names
    assert {path.name.partition(".")[0] for path in SCHEMAS.iterdir()} == names


@each_event
def test_an_example_is_made_from_the_class_alone(event: type[Event]) -> None:
    """An event without a golden message gets one that its consumers read, and always the same one."""
    made = example(event, shape(event))
    assert made == example(event, shape(event))
    assert made["data"].keys() == event.model_fields.keys()
    assert isinstance(read(made).data, event)


def test_every_event_is_listed_under_a_name_of_its_own() -> None:
    """Each file of the contracts that has events is listed, and no two events have one wire name."""
    assert len(EVENTS) == len({event.wire_name for event in EVENTS})
    folder = Path(contracts.__file__).parent
    with_events = {path.stem for path in folder.glob("*.py") if "published_by=" in path.read_text()}
    assert {event.__module__.removeprefix("contracts.") for event in EVENTS} == with_events


@each_event
def test_amounts_are_whole_and_not_negative(event: type[Event]) -> None:
    """Money is an integer of rupiah that cannot be below zero, a fraction, or text."""
    for member in {"amount", "paid_amount", "refund_amount", "total"} & event.model_fields.keys():
        missing = (None,) if event.model_fields[member].is_required() else ()
        for wrong in (-1, 1.5, "1", True, 10**13, *missing):
            envelope = golden(event)
            envelope["data"][member] = wrong
            with pytest.raises(UnreadableEvent, match=member):
                read(envelope)


@each_event
def test_an_event_is_far_smaller_than_the_limit(event: type[Event]) -> None:
    """Even the usual message many times over is read."""
    assert len(json.dumps(golden(event))) * 50 < MAX_BODY
