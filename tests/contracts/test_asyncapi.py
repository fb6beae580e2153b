"""The AsyncAPI document is valid, and agrees with the contracts.

`asyncapi/3.0.0.json` is the official JSON schema (npm: @asyncapi/specs 6.11.1, Apache-2.0), without its white space.
"""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs

from contracts.asyncapi import document
from runtime.messaging.envelope import Event
from tests.contracts.test_wire import each_event, golden

OFFICIAL = json.loads((Path(__file__).parent / "asyncapi" / "3.0.0.json").read_text())


def test_the_document_is_valid_asyncapi() -> None:
    """The official schema accepts it, and does not accept it without what must be there."""
    official = jsonschema_rs.validator_for(OFFICIAL)
    written = document()
    assert [str(error) for error in official.iter_errors(written)] == []
    assert not official.is_valid({**written, "info": {}})
    assert not official.is_valid({**written, "operations": {"x": {"action": "shout"}}})


def test_every_reference_leads_somewhere() -> None:
    """Channels, messages and schemas that are referred to are in the document."""
    written = document()
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(written)))
    assert references
    for reference in references:
        node: Any = written
        for step in reference.split("/"):
            node = node[step]


@each_event
def test_who_sends_and_who_receives(event: type[Event]) -> None:
    """There is a channel for each publisher, and an operation for each service on each channel."""
    written = document([event])
    assert set(written["channels"]) == {f"{name}.{event.wire_name}" for name in event.published_by}
    operations = {
        (one["action"], one["tags"][0]["name"], one["channel"]["$ref"].rpartition("/")[2])
        for one in written["operations"].values()
    }
    sends = {("send", publisher, f"{publisher}.{event.wire_name}") for publisher in event.published_by}
    receives = {("receive", name, key) for name in event.consumed_by for key in event.routing_keys(name)}
    assert operations == sends | receives


@each_event
def test_a_real_message_fits_its_schema(event: type[Event]) -> None:
    """The golden message of each event is one that the document describes; with another `data` it is none."""
    written = document()
    message = golden(event)
    schema = {**written["components"]["messages"][event.wire_name]["payload"], "components": written["components"]}
    described = jsonschema_rs.validator_for(schema)
    assert [str(error) for error in described.iter_errors(message)] == []
    assert not described.is_valid({**message, "data": {}})
