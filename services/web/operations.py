"""Reads OpenAPI documents for people: operations with their parameters and responses, and a curl command for each."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.web.shapes import Field, Shapes

METHODS = ("get", "post", "put", "delete", "patch")
BEHIND = ("operation", "demonstration")
"""Groups that are listed last."""
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Answer:
    """A response. `code` is a status, or `default` for every refusal."""

    code: str
    text: str
    fields: Sequence[Field]
    example: str


@dataclass(frozen=True)
class Operation:
    """One operation."""

    method: str
    path: str
    group: str
    summary: str
    text: str
    signed_in: bool
    parameters: Sequence[Field]
    body: Sequence[Field]
    example: str
    answers: Sequence[Answer]
    curl: str

    @property
    def anchor(self) -> str:
        """The id for links."""
        return anchor(self.method, self.path)


def anchor(method: str, path: str) -> str:
    """`post-orders-order_id-cancel`."""
    return "-".join([method.lower(), *path.strip("/").replace("{", "").replace("}", "").split("/")])


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """All of a service, in its own order; health and demonstration last."""
    shapes = Shapes(document)
    found = [
        _operation(shapes, method, path, spec)
        for path, methods in document.get("paths", {}).items()
        for method, spec in methods.items()
        if method in METHODS
    ]
    return sorted(found, key=lambda one: BEHIND.index(one.group) + 1 if one.group in BEHIND else 0)


def _operation(shapes: Shapes, method: str, path: str, spec: Mapping[str, Any]) -> Operation:
    summary, _, text = str(spec.get("description", spec.get("summary", ""))).partition("\n\n")
    kind, schema = _content(spec.get("requestBody", {}))
    example = None if schema is None else shapes.example(schema)
    signed_in = bool(spec.get("security"))
    return Operation(
        method=method.upper(),
        path=path,
        group=str((spec.get("tags") or ["operation"])[0]),
        summary=" ".join(summary.split()),
        text=text,
        signed_in=signed_in,
        parameters=[_parameter(shapes, one) for one in spec.get("parameters", ())],
        body=[] if schema is None else shapes.fields(schema),
        example="" if example is None else _written(example, kind, indent=2),
        answers=[_answer(shapes, code, one) for code, one in spec.get("responses", {}).items()],
        curl=_curl(method.upper(), path, kind, example, signed_in=signed_in, once=_takes_key(spec)),
    )


def _parameter(shapes: Shapes, spec: Mapping[str, Any]) -> Field:
    where = {"path": "", "query": "?", "header": ""}.get(str(spec["in"]), "")
    note = str(spec.get("description") or spec.get("schema", {}).get("description") or "")
    return Field(f"{where}{spec['name']}", shapes.kind(spec.get("schema", {})), bool(spec.get("required")), note)


def _answer(shapes: Shapes, code: str, spec: Mapping[str, Any]) -> Answer:
    kind, schema = _content(spec)
    if schema is None or kind == PROBLEM:
        return Answer(code, str(spec.get("description", "")), (), "")
    return Answer(
        code, str(spec["description"]), shapes.fields(schema), _written(shapes.example(schema), kind, indent=2)
    )


def _content(spec: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
    for kind, content in spec.get("content", {}).items():
        if schema := content.get("schema"):
            return kind, schema
    return "", None


def _written(example: Any, kind: str, indent: int | None = None) -> str:
    if kind == "application/x-www-form-urlencoded" and isinstance(example, dict):
        return "&".join(f"{key}={value}" for key, value in example.items() if value is not None)
    return json.dumps(example, indent=indent, ensure_ascii=False)


def _takes_key(spec: Mapping[str, Any]) -> bool:
    return any(one["name"].lower() == "idempotency-key" for one in spec.get("parameters", ()))


def _curl(method: str, path: str, kind: str, example: Any, *, signed_in: bool, once: bool) -> str:
    arguments = [] if method == "GET" else ["-X", method]
    if signed_in:
        arguments += ["-H", "Authorization: Bearer $TOKEN"]
    if once:
        arguments += ["-H", "Idempotency-Key: my-first"]
    if example is not None:
        arguments += ["-H", f"Content-Type: {kind}", "-d", _written(example, kind)]
    words = [f'"{one}"' if "$TOKEN" in one else shlex.quote(one) for one in arguments]
    return " ".join(["curl", *words, f'"$BASE{path}"'])
