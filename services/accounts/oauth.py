"""The form of the token endpoint (OAuth 2, RFC 6749), and its refusals, which are problem details, too."""

from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, WithJsonSchema

from runtime.http.problems import MEDIA_TYPE, Problem, ProblemDetails, as_problem, describe_problem
from runtime.http.text import Printable
from services.accounts.domain import Client

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 20
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class _Grant(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    # Spelled out, because the OpenAPI document includes this schema.
    client_id: Annotated[Client, WithJsonSchema({"enum": [client.value for client in Client], "type": "string"})]


class PasswordGrant(_Grant):
    """Signs in; `username` is the e-mail address."""

    grant_type: Literal["password"]
    username: Annotated[str, StringConstraints(min_length=1, max_length=254), Printable]
    password: Annotated[str, StringConstraints(min_length=1, max_length=128), Printable]
    device_token: str = Field("", description="the device token of an earlier sign-in on this device, if any")


class RefreshGrant(_Grant):
    """Continues a session. Each refresh token is valid once."""

    grant_type: Literal["refresh_token"]
    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200), Printable]


GRANTS: dict[str, type[PasswordGrant] | type[RefreshGrant]] = {
    "password": PasswordGrant,
    "refresh_token": RefreshGrant,
}


class OAuthProblem(ProblemDetails):
    """A problem for OAuth 2 clients; `error` is the `code`."""

    error: str
    error_description: str


class InvalidForm(Problem):
    """A field is missing, doubled, too long or not readable."""

    status, code, title = 400, "invalid_request", "The form is not valid"


REFUSED = Counter("batalkan_sign_ins_refused", "Sign-ins and refreshed tokens that were refused", ["service", "code"])


class InvalidClient(Problem):
    """Unknown client: 400, because clients have no secret that a 401 could ask for."""

    status, code, title = 400, "invalid_client", "There is no such client"


class UnsupportedGrantType(Problem):
    """Unknown grant type."""

    status, code, title = 400, "unsupported_grant_type", "Not a way to sign in"


DOCUMENTED: dict[str, Any] = {
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                FORM: {"schema": {"oneOf": [PasswordGrant.model_json_schema(), RefreshGrant.model_json_schema()]}}
            },
        }
    },
    "responses": {
        400: describe_problem(
            "`invalid_grant`, `invalid_request`, `invalid_client` or `unsupported_grant_type`", OAuthProblem
        ),
        429: describe_problem("`rate_limited`: `Retry-After` says for how long", OAuthProblem),
        503: describe_problem("`sessions_unavailable` or `database_unavailable`", OAuthProblem),
    },
}
"""The token endpoint in the OpenAPI document."""


async def read_grant(request: Request) -> PasswordGrant | RefreshGrant:
    """The form; unknown fields are ignored, and empty ones count as missing (RFC 6749, 3.2).

    Raises `InvalidForm`, `InvalidClient`, `UnsupportedGrantType`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidForm(f"Send the fields as {FORM}.")
    try:
        pairs = parse_qsl((await request.body()).decode(), errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidForm("The form cannot be read.") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise InvalidForm("A field is there twice. Send each field once.")
    for name in ("grant_type", "client_id"):
        if name not in fields:
            raise InvalidForm(f"{name} is missing.")
    if fields["grant_type"] not in GRANTS:
        raise UnsupportedGrantType("grant_type must be password or refresh_token.")
    if fields["client_id"] not in list(Client):
        raise InvalidClient("client_id must be app or web.")
    try:
        return GRANTS[fields["grant_type"]].model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise InvalidForm(f"{first['loc'][0]} is missing, too long or not readable.") from error


def refuse(error: Exception) -> Response:
    """The response in both forms: problem details and OAuth 2."""
    problem = as_problem(error)
    REFUSED.labels("accounts", problem.code).inc()
    body = {**problem.body(), "error": problem.code, "error_description": problem.detail}
    return JSONResponse(body, problem.status, headers={**problem.headers, **NO_STORE}, media_type=MEDIA_TYPE)
