"""OpenAPI and AsyncAPI documents as pages."""

import json
from functools import cache
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

import services.accounts.main
import services.orders.main
from contracts import EVENTS
from runtime.http.app import Body, create_app
from services.web.operations import Operation, operations
from services.web.pages.docs import WAYS, _events
from services.web.shapes import Field, Shapes


async def _nothing() -> dict[str, bool]:
    return {}


@cache
def read(service: str, module: Any) -> dict[str, Operation]:
    """The operations of a service, by method and path."""
    app = create_app(service, module.SPEC.text, _nothing)
    app.include_router(module.SPEC.router)
    return {f"{one.method} {one.path}": one for one in operations(app.openapi())}


def test_an_operation_says_what_it_takes_and_answers() -> None:
    """Path, body with its optional fields, the order that comes back field by field, and a call for curl, which has a
    key, because some pieces are cancelled under one only."""
    cancel = read("orders", services.orders.main)["POST /orders/{order_id}/cancel"]
    assert cancel.signed_in
    assert cancel.parameters[0] == Field("order_id", "uuid", True, "")
    assert [(field.path, field.required) for field in cancel.parameters[1:]] == [("Idempotency-Key", False)]
    assert [(field.path, field.required) for field in cancel.body if "[]" not in field.path] == [
        ("reason", False),
        ("note", False),
        ("lines", False),
    ]
    assert "changed_mind" in cancel.body[0].kind
    answered = {field.path: field.kind for field in cancel.answers[0].fields}
    assert answered["lines[].quantity"] == "integer"
    assert answered["cancellation.allowed"] == "boolean"
    headers = "-H 'Idempotency-Key: my-first' -H 'Content-Type: application/json'"
    assert cancel.curl.startswith(f'curl -X POST -H "Authorization: Bearer $TOKEN" {headers}')
    assert cancel.curl.endswith('"$BASE/orders/{order_id}/cancel"')
    assert [answer.code for answer in cancel.answers] == ["200", "default"]
    order = json.loads(cancel.answers[0].example)
    assert order["total"] == order["lines"][0]["net"] + order["shipping_fee"] - order["discount"] == 145_000


def test_the_token_endpoint_takes_a_form() -> None:
    """OAuth's token request is shown as a form, and needs no sign-in."""
    token = read("accounts", services.accounts.main)["POST /accounts/token"]
    assert not token.signed_in
    assert "grant_type=" in token.example
    assert "application/x-www-form-urlencoded" in token.curl


def test_operation_endpoints_come_last() -> None:
    """First what it is for, then health and metrics."""
    groups = [one.group for one in read("orders", services.orders.main).values()]
    assert groups == sorted(groups, key=lambda group: group == "operation")
    assert groups[-1] == "operation"


def test_the_steps_of_the_four_ways_are_there() -> None:
    """Every request of a way that orders and accounts answer is one that they offer."""
    offered = {**read("orders", services.orders.main), **read("accounts", services.accounts.main)}
    steps = [step for way in WAYS.values() for step in way if step.split("/")[1] in ("orders", "accounts")]
    assert len(steps) > 5
    assert [step for step in steps if step not in offered] == []


def test_a_schema_that_contains_itself_has_an_end() -> None:
    """Fields and examples stop at some depth."""

    class Tree(Body):
        name: str
        branches: list["Tree"]

    class Answer(BaseModel):
        tree: Tree | None

    app = FastAPI()

    @app.post("/tree")
    async def plant(tree: Tree) -> Answer:
        return Answer(tree=tree)

    (planted,) = operations(app.openapi())
    assert len(planted.body) < 20
    assert planted.answers[0].fields[0].path == "tree"


def test_every_event_is_shown_with_its_fields_and_an_example() -> None:
    """The page of an event shows fields, routing keys and an example from the AsyncAPI document."""
    shown = {page.event.wire_name: page for page in _events()}
    assert shown.keys() == {event.wire_name for event in EVENTS}
    cancelled = shown["OrderCancelled"]
    assert {field.path for field in cancelled.fields} >= {"cancellation_id", "paid_amount", "fault"}
    assert '"type": "OrderCancelled"' in cancelled.example
    assert '"paid_amount": 145000' in cancelled.example
    assert shown["OrderCancelRequested"].keys == [f"{name}.OrderCancelRequested" for name in ("orders", "chat", "cs")]


def test_a_reference_keeps_what_is_said_beside_it() -> None:
    """A field's own description wins over that of the shape that it refers to; a nullable shape keeps its own."""
    document = {"shapes": {"Id": {"type": "string", "format": "uuid", "description": "An id."}}}
    a, b = {"$ref": "#/shapes/Id"}, {"$ref": "#/shapes/Id", "description": "Whose."}
    c = {"anyOf": [{"type": "string", "description": "A word."}, {"type": "null"}]}
    fields = Shapes(document).fields({"properties": {"a": a, "b": b, "c": c}})
    assert [field.note for field in fields] == ["An id.", "Whose.", "A word."]
