"""Writes the catalogue of events from the contracts."""

import inspect
import json
from pathlib import Path

from contracts import EVENTS, asyncapi
from runtime.messaging.envelope import Event

DOCS = Path(__file__).parent.parent / "docs"

BEGINNING = Path(__file__).parent / "templates" / "events.md.txt"


def written() -> dict[Path, str]:
    """The files of the catalogue, with their text."""
    document = json.dumps(asyncapi.document(), indent=1, ensure_ascii=False) + "\n"
    return {DOCS / "events.md": catalogue(), DOCS / "asyncapi.json": document}


def catalogue() -> str:
    """The whole page."""
    rows = [
        f"| [{event.wire_name}](#{event.wire_name.lower()}) "
        f"| {_list(event.published_by)} | {_list(event.consumed_by)} |"
        for event in EVENTS
    ]
    return BEGINNING.read_text() + "\n".join(rows) + "\n" + "".join(_section(event) for event in EVENTS)


def _list(services: tuple[str, ...]) -> str:
    return ", ".join(services) or "–"


def _section(event: type[Event]) -> str:
    schema = event.model_json_schema()
    required = set(schema.get("required", ()))
    lines = [
        f"\n## {event.wire_name}\n",
        f"{inspect.getdoc(event)}\n",
        f"Schema `{event.dataschema()}`, subject `{event.subject_field}`.\n",
        "| field | type | |",
        "| --- | --- | --- |",
    ]
    for name, field in schema["properties"].items():
        note = "" if name in required else "may be missing"
        lines.append(f"| {name} | {_type(field, schema)} | {field.get('description', note)} |")
    return "\n".join(lines) + "\n"


def _type(field: dict[str, object], schema: dict[str, object]) -> str:
    """A short description of a field's type."""
    if isinstance(ref := field.get("$ref"), str):
        definitions = schema["$defs"]
        assert isinstance(definitions, dict)
        return _type(definitions[ref.rsplit("/", 1)[-1]], schema)
    if isinstance(choices := field.get("anyOf"), list):
        return " or ".join(_type(choice, schema) for choice in choices)
    if isinstance(values := field.get("enum"), list):
        return " \\| ".join(f"`{value}`" for value in values)
    if isinstance(items := field.get("items"), dict):
        return f"list of: {_type(items, schema)}"
    if isinstance(properties := field.get("properties"), dict):
        return ", ".join(f"{name} ({_type(one, schema)})" for name, one in properties.items())
    return str(field.get("format") or field.get("type"))
