"""Reads JSON schemas, out of OpenAPI and AsyncAPI documents, for people: a table of fields, and an example."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEEPEST = 4
"""Levels of fields inside fields that are shown."""

Schema = Mapping[str, Any]

_EXAMPLES: Mapping[str, Any] = {
    "uuid": "0193d5a0-1111-7abc-8000-00000000000a",
    "date-time": "2026-01-31T07:30:00Z",
    "email": "buyer@example.com",
    "password": "rahasia-sekali",
}
_BY_TYPE: Mapping[str, Any] = {"string": "…", "integer": 1, "number": 1.5, "boolean": True, "null": None}
_AMOUNTS: Mapping[str, int] = dict.fromkeys(("amount", "price", "total", "balance", "net"), 145_000) | {
    "discount": 0,
    "fee": 0,
}
"""By the last word of a name: one piece, without shipping fee and discount."""


@dataclass(frozen=True)
class Field:
    """One line of the table; `path` leads to it through dots, and `[]` for the items of a list."""

    path: str
    kind: str
    required: bool
    note: str


class Shapes:
    """The schemas of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def fields(self, schema: Schema, prefix: str = "", depth: int = 0) -> list[Field]:
        """All fields, those inside others below them."""
        schema = self._only(self._resolved(schema))
        if items := schema.get("items"):
            return self.fields(items, f"{prefix}[]", depth)
        required = set(schema.get("required", ()))
        found: list[Field] = []
        for name, one in schema.get("properties", {}).items():
            path = f"{prefix}.{name}" if prefix else name
            inner = self._resolved(one)
            described = (text for each in (one, inner, *_choices(inner)) if (text := each.get("description")))
            note = str(next(described, "")).partition("\n\n")[0]
            found.append(Field(path, self.kind(one), name in required, note))
            if depth < DEEPEST:
                found += self.fields(inner, path, depth + 1)
        return found

    def kind(self, schema: Schema) -> str:
        """A type in a few words."""
        schema = self._resolved(schema)
        if choices := _choices(schema):
            return " | ".join(dict.fromkeys(self.kind(choice) for choice in choices))
        if "const" in schema:
            return f'"{schema["const"]}"'
        if values := schema.get("enum"):
            return " | ".join(f'"{value}"' for value in values)
        if items := schema.get("items"):
            return f"list of {self.kind(items)}"
        return str(schema.get("format") or schema.get("type") or "anything")

    def example(self, schema: Schema, name: str = "", depth: int = 0) -> Any:
        """A value of this shape."""
        schema = self._resolved(schema)
        known = [schema.get("const"), schema.get("default"), *schema.get("examples", ())]
        if (value := next((one for one in known if one is not None), None)) is not None:
            return value
        if choices := _choices(schema):
            return self.example(choices[0], name, depth)
        if values := schema.get("enum"):
            return values[0]
        if "properties" in schema and depth <= DEEPEST:
            return {key: self.example(one, key, depth + 1) for key, one in schema["properties"].items()}
        if items := schema.get("items"):
            return [self.example(items, name, depth + 1)]
        if (usual := _EXAMPLES.get(str(schema.get("format")))) is not None:
            return usual
        return _AMOUNTS.get(name.rpartition("_")[2], _BY_TYPE.get(str(schema.get("type")), {}))

    def _resolved(self, schema: Schema) -> Schema:
        """The schema behind a reference, with the keys beside the reference."""
        for _ in range(DEEPEST):
            if not isinstance(reference := schema.get("$ref"), str):
                break
            found: Any = self._document
            for step in reference.removeprefix("#/").split("/"):
                found = found[step]
            schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def _only(self, schema: Schema) -> Schema:
        """A nullable schema without the null."""
        choices = [one for one in _choices(schema) if one.get("type") != "null"]
        return self._resolved(choices[0]) if len(choices) == 1 else schema


def _choices(schema: Schema) -> Sequence[Schema]:
    found: Sequence[Schema] = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or ()
    return found
