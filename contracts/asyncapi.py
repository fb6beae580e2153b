"""The events as an AsyncAPI 3 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0), for tools."""

import inspect
from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from contracts import EVENTS
from runtime.messaging.envelope import CONTENT_TYPE, EXCHANGE, Envelope, Event

_ABOUT = """\
The events of Batalkan. Every message is a CloudEvents 1.0 event in structured JSON, persistent, on one durable topic
exchange, under the routing key `<publisher>.<event>`. Each consumer has one quorum queue of its own, named after it.
Events of one subject are handled in order. An event may be delivered more than once and has its effect once. Consumers
ignore fields that they do not know."""


def document(events: Sequence[type[Event]] = EVENTS) -> dict[str, Any]:
    """The whole document."""
    _, shapes = models_json_schema(
        [(Envelope[event], "validation") for event in events],  # type: ignore[valid-type]
        ref_template="#/components/schemas/{model}",
    )
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Batalkan", "version": "1.0.0", "description": _ABOUT, "license": {"name": "MIT"}},
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "rabbitmq": {
                "host": "rabbitmq:5672",
                "pathname": "/batalkan",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "Every service has its own user, which can publish under its own name only.",
            }
        },
        "channels": {key: _channel(key, event) for event in events for key in _keys(event)},
        "operations": dict(operation for event in events for operation in _operations(event)),
        "components": {
            "messages": {event.wire_name: _message(event) for event in events},
            "schemas": {name: _plain(shape) for name, shape in shapes["$defs"].items()},
        },
    }


def _keys(event: type[Event]) -> list[str]:
    return [f"{publisher}.{event.wire_name}" for publisher in event.published_by]


def _channel(key: str, event: type[Event]) -> dict[str, Any]:
    return {
        "address": key,
        "summary": f"{event.wire_name}, published by {key.partition('.')[0]}.",
        "messages": {event.wire_name: {"$ref": f"#/components/messages/{event.wire_name}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False},
            }
        },
    }


def _operations(event: type[Event]) -> list[tuple[str, dict[str, Any]]]:
    """A `send` operation for each publisher, and a `receive` operation for each consumer."""
    sends = [(key, "send", key.partition(".")[0]) for key in _keys(event)]
    receives = [(key, "receive", consumer) for consumer in event.consumed_by for key in event.routing_keys(consumer)]
    return [
        (
            f"{service}.{action}s.{key}",
            {
                "action": action,
                "channel": {"$ref": f"#/channels/{key}"},
                "messages": [{"$ref": f"#/channels/{key}/messages/{event.wire_name}"}],
                "tags": [{"name": service}],
            },
        )
        for key, action, service in [*sends, *receives]
    ]


def _message(event: type[Event]) -> dict[str, Any]:
    return {
        "name": event.wire_name,
        "title": event.wire_name,
        "summary": (inspect.getdoc(event) or "").partition("\n\n")[0].replace("\n", " "),
        "contentType": CONTENT_TYPE,
        "correlationId": {
            "description": "One for the whole trace of a cancellation.",
            "location": "$message.payload#/correlationid",
        },
        "payload": {"$ref": f"#/components/schemas/Envelope_{event.__name__}_"},  # pydantic's name for the envelope
    }


def _plain(shape: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema without the titles that only repeat a field's name."""
    fields = {
        name: {key: value for key, value in field.items() if key != "title"}
        for name, field in shape.get("properties", {}).items()
    }
    return {**shape, "properties": fields} if fields else shape
