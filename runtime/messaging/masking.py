"""Masking: what an operator may see of a message, which may hold names, addresses, and what people have written.

A value is shown if the type of its field rules out personal data, and the value is of that type: ids, times, numbers,
words of an enumeration. Everything else is masked, also what nobody has thought of yet.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from inspect import isclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import from_json

from runtime.messaging.envelope import Event

MASK = "•••"

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_SHAPES = {
    UUID: re.compile(_UUID, re.ASCII),
    datetime: re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)", re.ASCII),
}
_TRACEPARENT = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


def masked(body: bytes, known: Mapping[str, type[Event]]) -> Any:
    """The message, with masked values; None if it is not a JSON object. `known`: the event classes by name."""
    try:
        message = from_json(body)
    except ValueError:
        return None
    if not isinstance(message, dict):
        return None
    event = known.get(str(message.get("type")))
    fields: dict[str, Any] = dict.fromkeys(("id", "subject", "correlationid", "causationid"), UUID)
    fields |= {"specversion": Literal["1.0"], "datacontenttype": Literal["application/json"]}
    fields |= {"time": datetime, "sequence": int, "traceparent": _TRACEPARENT}
    if event is not None:
        fields |= {"source": Literal[event.published_by], "type": Literal[event.wire_name]}
        fields |= {"dataschema": Literal[event.dataschema()], "data": event}
    return _object(fields, message)


def masked_error(text: str) -> str:
    """The text of an error: quoted parts, which may repeat what was in a message, are masked; numbers are left out, so
    that errors of one kind have one text."""
    text = _QUOTED.sub(MASK, text)
    text = re.split("['\"]", text, maxsplit=1)[0]  # a quotation that was cut off
    return re.sub(r"\d+", "#", re.sub(_UUID, MASK, text))


def _object(fields: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    return {name if name in fields else MASK: _shown(fields.get(name), one) for name, one in value.items()}


def _shown(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if value is None and kind is not None:
        return None
    if origin is Annotated:
        return _shown(arguments[0], value)
    if origin in (Union, UnionType):
        return next((shown for one in arguments if (shown := _shown(one, value)) != MASK), MASK)
    if origin in (list, tuple) and isinstance(value, list):
        return [_shown(arguments[0], one) for one in value]
    shape = kind if isinstance(kind, re.Pattern) else _SHAPES.get(kind)
    if shape is not None:
        return value if isinstance(value, str) and shape.fullmatch(value) else MASK
    if not isclass(kind):
        return value if origin is Literal and isinstance(value, str) and value in arguments else MASK
    if issubclass(kind, BaseModel) and isinstance(value, dict):
        return _object({name: field.annotation for name, field in kind.model_fields.items()}, value)
    if issubclass(kind, StrEnum):
        return value if value in [word.value for word in kind] else MASK
    return value if kind in (int, bool) and type(value) is kind else MASK
