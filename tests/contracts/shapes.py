"""The published shape of each event, a JSON schema per event and version, and the golden message of each event.

`make contracts` (`python -m tests.contracts.shapes`) writes them, the catalogue and the lessons in docs/; `--check`
compares them.
A field that may be missing can be added to a published shape; every other change needs a new event.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from batalkan import catalogue, lesson_pages
from contracts import EVENTS
from runtime.messaging.envelope import Event
from tests.contracts.examples import example

SCHEMAS = Path(__file__).parent / "schemas"
GOLDEN = Path(__file__).parent / "golden"
_STRUCTURE = {"properties", "required", "items", "anyOf"}


def snapshot(event: type[Event]) -> Path:
    """The file with the published shape of the event's current version."""
    return SCHEMAS / f"{event.wire_name}.{event.version}.json"


def golden_path(event: type[Event]) -> Path:
    """The file with the event's golden message."""
    return GOLDEN / f"{event.wire_name}.json"


def shape(event: type[Event]) -> Any:
    """The shape that the code has now, without the prose, and without references."""
    return _plain(event.model_json_schema(mode="serialization"))


def _plain(schema: Any, definitions: dict[str, Any] | None = None) -> Any:
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    if isinstance(schema, list):
        return [_plain(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(reference := schema.get("$ref"), str):
        schema = {**definitions[reference.rsplit("/", 1)[-1]], **schema}
    plain = {}
    for key, value in schema.items():
        if key == "properties":
            plain[key] = {name: _plain(field, definitions) for name, field in value.items()}
        elif key not in {"description", "title", "$defs", "$ref"}:
            plain[key] = _plain(value, definitions)
    return plain


def breaking_changes(published: Any, now: Any, where: str = "data") -> Iterator[str]:
    """What a consumer of the published shape would not understand in a message of the shape `now`, or the other way
    round; nothing for fields that were added and may be missing."""
    fields, fields_now = published.get("properties", {}), now.get("properties", {})
    required, required_now = set(published.get("required", ())), set(now.get("required", ()))
    for name in sorted(required_now - required):
        yield f"{where}.{name} is required now"
    for name in sorted(fields_now.keys() & required - required_now):
        yield f"{where}.{name} may be missing now"
    for name, field in fields.items():
        if name in fields_now:
            yield from breaking_changes(field, fields_now[name], f"{where}.{name}")
        else:
            yield f"{where}.{name} is gone"
    parts, parts_now = _parts(published), _parts(now)
    if len(parts) != len(parts_now) or _rest(published) != _rest(now):
        yield f"{where} is {json.dumps(now)} now; published is {json.dumps(published)}"
    else:
        for part, part_now in zip(parts, parts_now, strict=True):
            yield from breaking_changes(part, part_now, f"{where}[]")


def _parts(schema: Any) -> list[Any]:
    return [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else [])]


def _rest(schema: Any) -> Any:
    return {key: value for key, value in schema.items() if key not in _STRUCTURE | {"examples"}}


def files() -> dict[Path, str]:
    """Every file that follows from the contracts, or from the lessons, with its text."""
    found = catalogue.written() | lesson_pages.written()
    for event in EVENTS:
        found[snapshot(event)] = json.dumps(shape(event), indent=2, sort_keys=True) + "\n"
        path = golden_path(event)
        if not path.exists() or json.loads(path.read_text())["dataschema"] != event.dataschema():
            found[path] = json.dumps(example(event, shape(event)), indent=2, ensure_ascii=False) + "\n"
    return found


def main(check: bool) -> None:
    """Writes what is not up to date, or with `check` says so; refuses to change a published shape."""
    for event in EVENTS:
        if snapshot(event).exists():
            published = _plain(json.loads(snapshot(event).read_text()))
            for change in breaking_changes(published, shape(event), event.wire_name):
                sys.exit(f"{change}: this needs a new event; see CONTRIBUTING.md, Changing an event")
    try:
        wanted = files()
    except ValidationError as error:
        sys.exit(f"no example could be made up, write {GOLDEN}/{error.title}.json by hand: {error}")
    for path, text in wanted.items():
        if path.exists() and path.read_text() == text:
            continue
        if check:
            sys.exit(f"{path} is not what its source says; run: make contracts")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main("--check" in sys.argv)
