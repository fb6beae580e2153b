"""What the HTTP interfaces of all services have in common: problem details, limits, health, metrics, common types."""

import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import asyncpg
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.errors import MEDIA_TYPE, InvalidRequest, Problem
from runtime.http.body_limit import BodyLimitMiddleware
from runtime.http.hosts import CheckHost
from runtime.messaging.observer import NO_OBSERVER, EventObserver
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.numbers import whole
from runtime.observability import trace_context
from runtime.observability.telemetry import REQUESTS
from runtime.storage.database_errors import DatabaseUnavailable, is_lost, is_transient

TRIES = 3
"""How often a route runs at the most when the database lets another transaction win."""

log = logging.getLogger(__name__)


class Body(BaseModel):
    """A request's body: nothing in it that is not known, and no guessing at types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ProblemDetails(BaseModel):
    """Problem details, RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    detail: str


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """A part of a list; `next` goes into `?cursor=` for the part behind it, null at the end."""

    items: list[T]
    next: UUID | None


def _digits(value: object) -> object:
    if isinstance(value, str) and (value := whole(said := value)) is None:
        raise ValueError(f"{said[:40]!r} is not a whole number")
    return value


Digits = BeforeValidator(_digits)
"""Has the number of a query be written in plain digits: `1_0`, ` 5` and `5.0` are none."""

Limit = Annotated[Annotated[int, Field(ge=1, le=100)], Digits, Query(description="how many items at the most")]
Seq = Annotated[Annotated[int, Field(ge=0, le=2**31 - 1)], Digits, Query(description="the last number that is known")]
"""`?after=`: what comes behind it is asked for."""
Cursor = Annotated[UUID | None, Query(description="`next` of the part before")]


async def _uow(request: Request) -> UnitOfWork:
    uow: UnitOfWork = request.app.state.uow
    return uow


UnitOfWorkDep = Annotated[UnitOfWork, Depends(_uow)]
"""Where a route begins its transaction."""


def describe_problem(description: str, shape: type[ProblemDetails] = ProblemDetails) -> dict[str, Any]:
    """An answer that carries a problem, for the OpenAPI document."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": shape.model_json_schema()}}}


def problem_response(problem: Problem) -> Response:
    """The answer that carries a problem."""
    return JSONResponse(problem.body(), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


HealthChecks = Callable[[], Awaitable[Mapping[str, bool]]]
"""Names parts, and tells whether each is there."""


def create_app(
    service: str,
    description: str,
    ready: HealthChecks,
    optional: HealthChecks | None = None,
    observer: EventObserver = NO_OBSERVER,
    allowed_hosts: Collection[str] = (),
) -> FastAPI:
    """The application of one service, without its own routes. `ready` names what the service stands on, `optional`
    what it can do without; `observer` sees the requests; `allowed_hosts` may be called besides the service's name."""
    app = FastAPI(
        title=f"Batalkan: {service}",
        description=description,
        version="1",
        openapi_url=f"/{service}/openapi.json",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
        responses={"default": describe_problem("A problem, with its `code`")},
    )
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(CheckHost, names=[service, *allowed_hosts])
    app.add_middleware(RequestContextMiddleware, service=service, observer=observer)
    for error in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(error, _answer_error)

    waiting: dict[int | str, dict[str, Any]] = {
        503: {"description": "Something is missing", "content": {"application/json": {}}}
    }

    @app.get(f"/{service}/health/live", tags=["operation"])
    async def live() -> dict[str, str]:
        """Answers as long as the process runs."""
        return {"status": "alive"}

    @app.get(f"/{service}/health/ready", tags=["operation"], responses=waiting)
    async def is_ready(response: Response) -> dict[str, Any]:
        """200 when everything that the service stands on is there, else 503."""
        parts = await ready()
        if not all(parts.values()):
            response.status_code = 503
        state = "ready" if all(parts.values()) else "waiting"
        return {"status": state, "parts": {**parts, **(await optional() if optional else {})}}

    @app.get(f"/{service}/health/serving", tags=["operation"], responses=waiting)
    async def is_serving(response: Response) -> dict[str, Any]:
        """200 when the service can answer requests, else 503; for that it does not need the broker."""
        parts = {name: there for name, there in (await ready()).items() if name != "broker"}
        if not all(parts.values()):
            response.status_code = 503
        return {"status": "serving" if all(parts.values()) else "waiting", "parts": parts}

    @app.get(f"/{service}/metrics", tags=["operation"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Metrics in the Prometheus text format."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def wants_page(scope: Scope) -> bool:
    """Whether it is a browser that shows the answer to somebody."""
    return scope["type"] == "http" and b"text/html" in dict(scope["headers"]).get(b"accept", b"")


class RetryOnConflict(APIRoute):
    """A route that is run again when its transaction lost against another one: nothing of it had happened. One that
    takes no body refuses what somebody says in one, since it would be dropped."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_again(request: Request) -> Response:
            if self.body_field is None and (await request.body()).strip() not in (b"", b"{}", b"null"):
                raise InvalidRequest("There is nothing to say here: send no body.")
            for _ in range(TRIES - 1):
                try:
                    return await handle(request)
                except asyncpg.PostgresError as error:
                    if not is_lost(error):
                        raise
            return await handle(request)

        return handle_again


async def _answer_error(request: Request, error: Exception) -> Response:
    problem = as_problem(error)
    if problem.status == 405:
        problem.headers = {"Allow": ", ".join(_allowed(request))}  # type: ignore[misc]
    return problem_response(problem)


def _allowed(request: Request) -> list[str]:
    """The methods that the path knows; the framework names those of the first route that it finds only."""
    known = [
        method
        for method in ("DELETE", "GET", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
    return sorted([*known, "HEAD"] if "GET" in known else known)


def as_problem(error: Exception) -> Problem:
    """What a caller is told of an error; what nobody foresaw is logged."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return InvalidRequest(f"{where}: {first['msg']}", errors=_without_input(error))
    if isinstance(error, HTTPException):
        return _Http(error)
    if isinstance(error, ClientDisconnect):
        return InvalidRequest("The request broke off.")
    if is_transient(error):
        return DatabaseUnavailable("The database broke off before it could say that all is done. Try again.")
    log.error("a request failed", exc_info=error)
    return Problem("This is our fault, and it was logged.")


def _without_input(error: RequestValidationError) -> list[dict[str, Any]]:
    return [{"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]} for one in error.errors()]


_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Renamed in Python 3.13; a `code` is the same in every version."""


class _Http(Problem):
    """What the framework refuses: unknown paths, wrong methods, bodies that are too large or not readable."""

    def __init__(self, error: HTTPException) -> None:
        phrase = _PHRASES.get(error.status_code) or HTTPStatus(error.status_code).phrase
        super().__init__(error.detail)
        self.status = error.status_code  # type: ignore[misc]
        self.code = phrase.lower().replace(" ", "_").replace("-", "_")  # type: ignore[misc]
        self.title = phrase  # type: ignore[misc]
        self.headers = dict(error.headers or {})  # type: ignore[misc]


ONLY_ENCRYPTED = (b"strict-transport-security", b"max-age=31536000")
"""Over https only, where a browser heeds it: for a year it asks this host in no other way."""


class RequestContextMiddleware:
    """Opens a story for every request, names it in the answer (`X-Correlation-Id`), and measures the request. An answer
    that does not say how long it may be kept is kept by nobody: most are private.

    What nobody foresaw is answered here: the framework would do so outside of the story, so that the log could not name
    it, and would raise the error all the same.
    """

    def __init__(self, app: ASGIApp, service: str, observer: EventObserver = NO_OBSERVER) -> None:
        self._app = app
        self._service = service
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # is GET, of whose answer the server leaves out the body; the framework does not know that
            scope = {**scope, "method": "GET"}
        headers = dict(scope["headers"])
        told = trace_context.start_context(_valid_traceparent(headers.get(b"traceparent")))
        guards = [ONLY_ENCRYPTED] if scope["scheme"] == "https" else []
        status = 0
        started = perf_counter()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += [(b"x-correlation-id", str(told.correlation_id).encode()), *guards]
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        with trace_context.use_context(told):
            try:
                await self._app(scope, receive, send_named)
            except Exception as error:
                if status:  # has been sent: what is left is to break off
                    raise
                answer = await scope["app"].exception_handlers[Exception](Request(scope), error)
                await answer(scope, receive, send_named)
            finally:
                seconds = perf_counter() - started
                REQUESTS.labels(self._service, method, str(status or 500)).observe(seconds)
                self._observer.requested(told, scope, status or 500, seconds)


def _valid_traceparent(header: bytes | None) -> str | None:
    text = (header or b"").decode("latin-1")
    parts = text.split("-")
    lengths = [len(part) for part in parts]
    if lengths == [2, 32, 16, 2] and parts[0] == "00" and all(c in "0123456789abcdef-" for c in text):
        return text
    return None


Rupiah = Annotated[int, Field(ge=0, le=1_000_000_000_000, description="whole rupiah")]
