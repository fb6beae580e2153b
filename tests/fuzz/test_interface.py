"""Every service answers every generated request as its OpenAPI document says, and never with a 500."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, CheckContext, Response
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema

import services.accounts.main
import services.chat.main
import services.cs.main
import services.orders.main
import services.refunds.main
from runtime.http.app import create_app
from runtime.service import ServiceSpec
from services import SERVICES

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(120)]

EXAMPLES = 30
"""Tries of each operation, beside those that its description itself suggests."""
UNSTATED = {"value_error", "string_too_short", "int_type"}
"""Names have to be printable, titles more than blanks; and 2.0, an integer to JSON Schema, is none to us."""

bounded = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))


async def nothing_is_needed() -> Mapping[str, bool]:
    """No request is sent."""
    return {}


def schema_of(service: str, description: ServiceSpec) -> OpenApiSchema:
    """The service's OpenAPI document, with a number of examples that are the same in each run."""
    app = create_app(service, description.text, nothing_is_needed)
    app.include_router(description.router)
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.config.generation.update(max_examples=EXAMPLES, deterministic=True, database="none")
    return schema


accounts = schema_of("accounts", services.accounts.main.SPEC)
orders = schema_of("orders", services.orders.main.SPEC)
refunds = schema_of("refunds", services.refunds.main.SPEC)
chat = schema_of("chat", services.chat.main.SPEC)
cs = schema_of("cs", services.cs.main.SPEC)

TRIED = [accounts, orders, refunds, chat, cs]


def refusals_are_problems(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """A refusal has problem details with the status of the answer."""
    if response.status_code < 400 or "/health/" in case.path:
        return
    assert response.headers["content-type"] == ["application/problem+json"]
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:batalkan:problem:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]


def what_is_valid_is_taken(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """What the document allows is not refused as malformed, but for rules that no document can state."""
    if response.status_code == 422 and {error["type"] for error in response.json().get("errors", [])} <= UNSTATED:
        return None
    return positive_data_acceptance(ctx, response, case)


def ask(case: Case[Any], origin: str, tokens: Mapping[str, str]) -> None:
    """Sends each generated request in the name of every role, and checks the answers against the document."""
    for token in tokens.values():
        case.call_and_validate(
            origin,
            headers={"Authorization": f"Bearer {token}"},
            additional_checks=[refusals_are_problems, what_is_valid_is_taken],
            excluded_checks=[positive_data_acceptance],
        )


@bounded
@accounts.parametrize()
def test_accounts(case: Case[Any], origin: str, strangers: dict[str, str]) -> None:
    """Registering, signing in and out."""
    ask(case, origin, strangers)


@bounded
@orders.parametrize()
def test_orders(case: Case[Any], origin: str, tokens: dict[str, str]) -> None:
    """The catalogue, and the life of an order."""
    ask(case, origin, tokens)


@bounded
@refunds.parametrize()
def test_refunds(case: Case[Any], origin: str, tokens: dict[str, str]) -> None:
    """Refunds and the wallet."""
    ask(case, origin, tokens)


@bounded
@chat.parametrize()
def test_chat(case: Case[Any], origin: str, tokens: dict[str, str]) -> None:
    """Threads and their messages."""
    ask(case, origin, tokens)


@bounded
@cs.parametrize()
def test_cs(case: Case[Any], origin: str, tokens: dict[str, str]) -> None:
    """Cases, agents, and the seller's 24 hours."""
    ask(case, origin, tokens)


def test_every_service_is_tested() -> None:
    """A new service must be entered above; the pages, which are no interface for programs, are tried in tests/web."""
    assert {schema.raw_schema["info"]["title"].split()[-1] for schema in TRIED} == set(SERVICES) - {"web"}


@pytest.mark.parametrize("schema", TRIED, ids=lambda schema: schema.raw_schema["info"]["title"].split()[-1])
def test_document_is_what_is_served(origin: str, schema: OpenApiSchema) -> None:
    """What was tried here is what the service publishes of itself, without what it has in a demonstration only."""
    service = schema.raw_schema["info"]["title"].split()[-1]
    published = httpx.get(f"{origin}/{service}/openapi.json").json()
    shown = {path for path in published["paths"] if path.startswith(f"/{service}/demonstration/")}
    assert shown
    assert {path: published["paths"][path] for path in published["paths"].keys() - shown} == schema.raw_schema["paths"]
    schemas = schema.raw_schema["components"]["schemas"]
    assert {name: published["components"]["schemas"][name] for name in schemas} == schemas
