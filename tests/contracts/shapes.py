"""The published shape of each event: a JSON schema per event and version, which never changes once it is there.

`python -m tests.contracts.shapes` writes those that are missing, and changes none.
"""

import json
from pathlib import Path
from typing import Any

from contracts import EVENTS
from runtime.messaging.envelope import Event

SCHEMAS = Path(__file__).parent / "schemas"


def snapshot(event: type[Event]) -> Path:
    """Where the published shape of the event's current version stands."""
    return SCHEMAS / f"{event.wire_name}.{event.version}.json"


def shape(event: type[Event]) -> Any:
    """The shape that the code has now, without the prose."""
    return _without_prose(event.model_json_schema(mode="serialization"))


def _without_prose(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_prose(value) for key, value in schema.items() if key not in {"description", "title"}}
    if isinstance(schema, list):
        return [_without_prose(value) for value in schema]
    return schema


if __name__ == "__main__":
    for missing in (event for event in EVENTS if not snapshot(event).exists()):
        snapshot(missing).write_text(json.dumps(shape(missing), indent=2, sort_keys=True) + "\n")
