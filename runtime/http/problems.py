"""What a refusal is over HTTP: problem details (RFC 9457) with a status, and the headers that belong to it."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from runtime.errors import InvalidRequest, Refusal
from runtime.storage.database_errors import DatabaseUnavailable, is_transient

MEDIA_TYPE = "application/problem+json"
STATUS: Mapping[str, int] = {
    "refused": 409,
    "invalid_grant": 400,  # RFC 6749, 5.2
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "invalid_request": 422,
    "rate_limited": 429,
    "unavailable": 503,
}
"""By code. A refusal whose code is not in here has the status of the class that it derives from."""
HEADERS: Mapping[str, Mapping[str, str]] = {"unauthenticated": {"WWW-Authenticate": "Bearer"}}

log = logging.getLogger(__name__)


class ProblemDetails(BaseModel):
    """Problem details, RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class Problem(Refusal):
    """A refusal with its HTTP status. Subclasses are what the HTTP interface itself refuses."""

    code, title = "internal_error", "Something went wrong"
    status: int = 500
    headers: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def of(cls, refusal: Refusal) -> "Problem":
        """The refusal with the status and headers of its code."""
        if isinstance(refusal, Problem):
            return refusal
        problem = Problem(refusal.detail, **refusal.extra)
        problem.code, problem.title = refusal.code, refusal.title
        codes = [kind.code for kind in type(refusal).__mro__ if issubclass(kind, Refusal)]
        problem.status = next(STATUS[code] for code in codes if code in STATUS)
        problem.headers = HEADERS.get(refusal.code, {})
        if refusal.retry_after is not None:
            problem.headers = {**problem.headers, "Retry-After": str(refusal.retry_after)}
        return problem

    def body(self) -> dict[str, Any]:
        """The problem details object."""
        return {
            "type": f"urn:batalkan:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }


class _FrameworkProblem(Problem):
    """What the framework refuses: unknown paths, wrong methods, bodies that are too large or not readable."""

    def __init__(self, error: HTTPException) -> None:
        phrase = _PHRASES.get(error.status_code) or HTTPStatus(error.status_code).phrase
        super().__init__(error.detail)
        self.status = error.status_code
        self.code = phrase.lower().replace(" ", "_").replace("-", "_")
        self.title = phrase
        self.headers = dict(error.headers or {})


_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Renamed in Python 3.13; a `code` is the same in every version."""


def describe_problem(description: str, shape: type[ProblemDetails] = ProblemDetails) -> dict[str, Any]:
    """A response that carries a problem, for the OpenAPI document."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": shape.model_json_schema()}}}


def problem_response(refusal: Refusal) -> Response:
    """The response that carries the refusal."""
    problem = Problem.of(refusal)
    return JSONResponse(problem.body(), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


async def refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request or a WebSocket's handshake with the refusal."""
    answer = problem_response(refusal)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await answer(scope, receive, send)


def as_problem(error: Exception) -> Problem:
    """What a caller gets to know of an error. An unexpected error is logged."""
    if isinstance(error, HTTPException):
        return _FrameworkProblem(error)
    if (refusal := _as_refusal(error)) is not None:
        return Problem.of(refusal)
    log.error("a request failed", exc_info=error)
    return Problem("An internal error; it was logged. Try again later.")


def _as_refusal(error: Exception) -> Refusal | None:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        errors = [{"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]} for one in error.errors()]
        return InvalidRequest(f"{where}: {first['msg']}", errors=errors)
    if isinstance(error, ClientDisconnect):
        return InvalidRequest("The client disconnected during the request.")
    if is_transient(error):
        return DatabaseUnavailable(
            "The connection to the database was lost before the commit was confirmed. Try again."
        )
    return None
