"""The form of the token endpoint, and how it is refused."""

from typing import Any

import pytest

from tests.harness.accounts import Visitor

SIGN_IN = "grant_type=password&client_id=app&username=a%40b.co&password=x"


async def send(visitor: Visitor, body: bytes | str, kind: str = "application/x-www-form-urlencoded") -> dict[str, Any]:
    """The problem that the form meets; it must be one for OAuth 2 clients, too."""
    answer = await visitor.http.post("/accounts/token", content=body, headers={"Content-Type": kind})
    problem: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert problem["error"] == problem["code"]
    assert problem["error_description"] == problem["detail"]
    assert problem["type"].endswith(problem["code"])
    assert problem["status"] == answer.status_code
    # RFC 6749, 5.2: printable ASCII without quotes and backslashes
    assert all(32 <= ord(character) <= 126 and character not in '"\\' for character in problem["error_description"])
    return problem


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "invalid_request"),
        ("grant_type=password", "invalid_request"),
        ("client_id=app", "invalid_request"),
        ("grant_type=&client_id=app", "invalid_request"),
        ("grant_type=password&client_id=app", "invalid_request"),
        ("grant_type=password&client_id=app&username=a%40b.co", "invalid_request"),
        ("grant_type=refresh_token&client_id=app", "invalid_request"),
        (f"{SIGN_IN}&password=y", "invalid_request"),
        (f"{SIGN_IN}{'x' * 200}", "invalid_request"),
        (SIGN_IN.replace("a%40", "a" * 255 + "%40"), "invalid_request"),
        (f"{SIGN_IN}%00", "invalid_request"),
        (SIGN_IN.replace("a%40", "a%00%40"), "invalid_request"),
        (f"{SIGN_IN}%ff", "invalid_request"),
        (f"{SIGN_IN}%ed%a0%80", "invalid_request"),
        (b"\xff\xfe=1", "invalid_request"),
        ("&".join(f"{n}=1" for n in range(30)), "invalid_request"),
        ("grant_type=client_credentials&client_id=app", "unsupported_grant_type"),
        (SIGN_IN.replace("=password", "=Password"), "unsupported_grant_type"),
        (SIGN_IN.replace("=app", "=chat"), "invalid_client"),
        (SIGN_IN.replace("=app", "=App"), "invalid_client"),
        (SIGN_IN, "invalid_grant"),
        (f"{SIGN_IN}&scope=everything&unknown=1&empty=", "invalid_grant"),
        ("grant_type=refresh_token&client_id=web&refresh_token=x.y", "invalid_grant"),
        ("grant_type=refresh_token&client_id=web&refresh_token=%F0%9F%98%80", "invalid_grant"),
    ],
    ids=lambda value: ascii(value)[:60],
)
async def test_each_fault_has_its_code(visitor: Visitor, body: bytes | str, code: str) -> None:
    """Each error has OAuth 2's code for it, always as a 400."""
    problem = await send(visitor, body)
    assert (problem["code"], problem["status"]) == (code, 400)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
async def test_only_forms_are_read(visitor: Visitor, kind: str) -> None:
    """The fields come as a form, as OAuth 2 lays down."""
    assert (await send(visitor, SIGN_IN, kind))["code"] == "invalid_request"


async def test_a_charset_beside_the_type_is_fine(visitor: Visitor) -> None:
    """Clients that name a charset are understood."""
    problem = await send(visitor, SIGN_IN, "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
    assert problem["code"] == "invalid_grant"


async def test_a_form_that_is_too_large_is_not_read(visitor: Visitor) -> None:
    """Beyond 64 KiB the answer is a 413, of the same shape."""
    assert (await send(visitor, "x=" + "y" * 70_000))["status"] == 413
