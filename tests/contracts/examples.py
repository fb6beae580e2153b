"""A golden message for an event that has none yet, made from its class alone: the same class gives the same message."""

import json
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from runtime.messaging.envelope import Envelope, Event

TIME = "2025-01-31T07:30:00.123456Z"


def example(event: type[Event], schema: Any) -> dict[str, Any]:
    """An envelope whose data fit `schema`, in which no `$ref` is left. Raises `ValidationError` if the class asks for
    more than the schema says; such an example has to be written by hand."""
    data = event.model_validate(_value(schema, event.wire_name))
    envelope = Envelope[event](  # type: ignore[valid-type]
        id=_id(event.wire_name),
        source=event.published_by[0],
        type=event.wire_name,
        subject=data.subject,
        time=TIME,
        dataschema=event.dataschema(),
        correlationid=_id("correlationid"),
        causationid=_id("causationid"),
        sequence=1,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        data=data,
    )
    written: dict[str, Any] = json.loads(envelope.to_json())
    return written


def _value(schema: Any, name: str) -> Any:
    """The simplest value that is not null and fits the schema."""
    if "const" in schema:
        return schema["const"]
    for values in ("enum", "examples"):
        if values in schema:
            return schema[values][0]
    if "anyOf" in schema:
        return _value(next(choice for choice in schema["anyOf"] if choice.get("type") != "null"), name)
    if schema["type"] == "object":
        return {field: _value(one, field) for field, one in schema.get("properties", {}).items()}
    if schema["type"] == "array":
        return [_value(schema["items"], name)] * max(schema.get("minItems", 1), 1)
    if schema["type"] == "string":
        text = {"uuid": _id(name), "date-time": TIME, "date": TIME[:10]}.get(schema.get("format", ""), name)
        return text.ljust(schema.get("minLength", 0), "-")[: schema.get("maxLength")]
    return {"integer": max(schema.get("minimum", 1), 1), "number": 1.5, "boolean": True}[schema["type"]]


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_OID, name))
