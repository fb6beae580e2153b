"""What the gateway answers by itself, and what it tells the services."""

import httpx
import pytest

from services import SERVICES

pytestmark = [pytest.mark.compose, pytest.mark.timeout(240)]

TOO_LARGE = 64 * 1024 + 1


@pytest.mark.parametrize(
    ("request_of", "status", "code"),
    [
        (("POST", "/orders", b"x" * TOO_LARGE), 413, "content_too_large"),
        (("GET", "/nothing/here", b""), 404, "not_found"),
        (("GET", "/orders/metrics", b""), 404, "not_found"),
        (("GET", "/orders/%6detrics", b""), 404, "not_found"),
        (("GET", "/orders//metrics", b""), 404, "not_found"),
        (("GET", "/orders/%00", b""), 400, "malformed_request"),
        (("GET", "/" + "a" * 9_000, b""), 414, "uri_too_long"),
        (("TRACE", "/orders", b""), 405, "method_not_allowed"),
    ],
)
def test_the_gateways_own_refusals_are_problem_details(
    http: httpx.Client, request_of: tuple[str, str, bytes], status: int, code: str
) -> None:
    """What the gateway refuses itself comes in the same form as a service's refusal."""
    method, path, body = request_of
    answer = http.request(method, path, content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem.keys() == {"type", "title", "status", "code", "detail"}


def test_a_services_refusal_comes_through_as_it_is(http: httpx.Client) -> None:
    """The gateway replaces none of the services' answers."""
    answer = http.get("/orders/products?limit=0")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_answers_have_a_request_id_and_security_headers(http: httpx.Client) -> None:
    """Each answer has a request id that the gateway made, never the client's, and security headers."""
    answer = http.get("/orders/products", headers={"X-Request-ID": "mine"})
    assert len(answer.headers.get_list("x-request-id")) == 1
    assert answer.headers["x-request-id"] != "mine"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "nginx/" not in answer.headers["server"]


def test_every_service_is_ready(http: httpx.Client) -> None:
    """The services' health can be seen from outside."""
    for service in SERVICES:
        assert http.get(f"/{service}/health/ready").raise_for_status().json()["status"] == "ready"
