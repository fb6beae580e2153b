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


FAULTS: dict[str, list[bytes | str]] = {
    "invalid_request": [
        *("", "grant_type=password", "client_id=app", "grant_type=&client_id=app", "grant_type=password&client_id=app"),
        *("grant_type=password&client_id=app&username=a%40b.co", "grant_type=refresh_token&client_id=app"),
        *(f"{SIGN_IN}&password=y", f"{SIGN_IN}{'x' * 200}", SIGN_IN.replace("a%40", "a" * 255 + "%40")),
        *(f"{SIGN_IN}%00", SIGN_IN.replace("a%40", "a%00%40"), f"{SIGN_IN}%ff", f"{SIGN_IN}%ed%a0%80", b"\xff\xfe=1"),
        "&".join(f"{n}=1" for n in range(30)),
    ],
    "unsupported_grant_type": [
        "grant_type=client_credentials&client_id=app",
        SIGN_IN.replace("=password", "=Password"),
    ],
    "invalid_client": [SIGN_IN.replace("=app", "=chat"), SIGN_IN.replace("=app", "=App")],
    "invalid_grant": [
        SIGN_IN,
        f"{SIGN_IN}&scope=everything&unknown=1&empty=",
        "grant_type=refresh_token&client_id=web&refresh_token=x.y",
        "grant_type=refresh_token&client_id=web&refresh_token=%F0%9F%98%80",
    ],
}


@pytest.mark.parametrize(
    ("body", "code"),
    [(body, code) for code, bodies in FAULTS.items() for body in bodies],
    ids=lambda value: ascii(value)[:60],
)
async def test_each_fault_has_its_code(visitor: Visitor, body: bytes | str, code: str) -> None:
    """Each error has OAuth 2's code for it, always as a 400."""
    problem = await send(visitor, body)
    assert (problem["code"], problem["status"]) == (code, 400)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        *(
            (kind, "invalid_request")
            for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain", "")
        ),
        ("Application/X-WWW-Form-Urlencoded; charset=UTF-8", "invalid_grant"),
    ],
)
async def test_the_fields_come_as_a_form(visitor: Visitor, kind: str, code: str) -> None:
    """The fields come as a form, as OAuth 2 lays down; a charset beside the type is fine."""
    assert (await send(visitor, SIGN_IN, kind))["code"] == code


async def test_a_form_that_is_too_large_is_not_read(visitor: Visitor) -> None:
    """Beyond 64 KiB the answer is a 413, of the same shape."""
    assert (await send(visitor, "x=" + "y" * 70_000))["status"] == 413
