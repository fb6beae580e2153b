"""Every service answers every generated request as its OpenAPI document says, and never with a 500."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis import Case, CheckContext, Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

from runtime.http.app import create_app
from services import SERVICES

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(120)]

TRIED = [service for service in SERVICES if service != "web"]
"""The pages, which are no interface for programs, are tried in tests/web."""
EXAMPLES = 30
"""Tries of each operation, beside those that its description itself suggests."""
UNSTATED = {"value_error", "string_too_short", "int_type"}
"""Names have to be printable, titles more than blanks; and 2.0, an integer to JSON Schema, is none to us."""


async def nothing_is_needed() -> Mapping[str, bool]:
    """No request is sent."""
    return {}


def app_of(service: str) -> FastAPI:
    """An application that has the document of a service."""
    spec = import_module(f"services.{service}.main").SPEC
    app = create_app(service, spec.text, nothing_is_needed)
    app.include_router(spec.router)
    return app


together = FastAPI()
for tried in TRIED:
    together.include_router(app_of(tried).router)
schema = schemathesis.openapi.from_dict(together.openapi())
schema.config.generation.update(max_examples=EXAMPLES, deterministic=True, database="none")


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


@schema.parametrize()
@settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_operation(case: Case[Any], origin: str, tokens: dict[str, str], strangers: dict[str, str]) -> None:
    """Each generated request, in the name of every role, is answered as the document of its service says."""
    for token in (strangers if case.path.startswith("/accounts") else tokens).values():
        case.call_and_validate(
            origin,
            headers={"Authorization": f"Bearer {token}"},
            additional_checks=[refusals_are_problems, what_is_valid_is_taken],
            excluded_checks=[positive_data_acceptance],
        )


@pytest.mark.parametrize("service", TRIED)
def test_document_is_what_is_served(origin: str, service: str) -> None:
    """What was tried here is what the service publishes of itself, without what it has in a demonstration only."""
    expected = app_of(service).openapi()
    published = httpx.get(f"{origin}/{service}/openapi.json").json()
    shown = {path for path in published["paths"] if path.startswith(f"/{service}/demonstration/")}
    assert shown
    assert {path: published["paths"][path] for path in published["paths"].keys() - shown} == expected["paths"]
    schemas = expected["components"]["schemas"]
    assert {name: published["components"]["schemas"][name] for name in schemas} == schemas
