"""The application of every service: middleware, errors, health, metrics, and common types."""

import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, MutableMapping
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from runtime.errors import InvalidRequest, Refusal
from runtime.http.body_limit import BodyLimitMiddleware
from runtime.http.hosts import CheckHost
from runtime.http.problems import as_problem, describe_problem, problem_response
from runtime.http.quick import shortened
from runtime.http.request_context import RequestContextMiddleware
from runtime.messaging.observer import NO_OBSERVER, EventObserver
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.numbers import whole
from runtime.storage.database_errors import is_lost

if TYPE_CHECKING:
    from runtime.observability.tracing import Tracing

TRIES = 3
"""Runs of a route, at most, when its transaction conflicts with others."""

log = logging.getLogger(__name__)

_PROBLEM: dict[int | str, dict[str, Any]] = {"default": describe_problem("A problem, with its `code`")}


class Body(BaseModel):
    """A request's body, without unknown fields and without conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """A part of a list. `next` is the `?cursor=` of the next part; null at the end."""

    items: list[T]
    next: UUID | None


def _digits(value: object) -> object:
    if isinstance(value, str) and (value := whole(text := value)) is None:
        raise ValueError(f"{text[:40]!r} is not a whole number")
    return value


Digits = BeforeValidator(_digits)
"""Accepts only plain digits for a number in a query: not `1_0`, ` 5` or `5.0`."""

Limit = Annotated[Annotated[int, Field(ge=1, le=100)], Digits, Query(description="how many items at the most")]
Seq = Annotated[Annotated[int, Field(ge=0, le=2**31 - 1)], Digits, Query(description="the last number that is known")]
"""`?after=`: requests what follows it."""
Cursor = Annotated[UUID | None, Query(description="`next` of the part before")]


async def _uow(request: Request) -> UnitOfWork:
    uow: UnitOfWork = request.app.state.uow
    return uow


UnitOfWorkDep = Annotated[UnitOfWork, Depends(_uow)]
"""The unit of work in which a route begins its transaction."""


HealthChecks = Callable[[], Awaitable[Mapping[str, bool]]]
"""The names of parts, and whether each is available."""


def create_app(
    service: str,
    description: str,
    ready: HealthChecks,
    optional: HealthChecks | None = None,
    observer: EventObserver = NO_OBSERVER,
    allowed_hosts: Collection[str] = (),
    tracing: "Tracing | None" = None,
) -> FastAPI:
    """The application of one service, without its own routes. `ready` checks the parts that the service needs,
    `optional` those that it can do without; `observer` gets the requests; `allowed_hosts` are valid besides the
    service's name; with `tracing` each request has a span."""
    app = FastAPI(
        title=f"Batalkan: {service}",
        description=description,
        version="1",
        openapi_url=f"/{service}/openapi.json",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        telemetry={
            "auto_configure": False,
            "tracing": tracing is not None,
            "tracer_provider": None if tracing is None else tracing.provider,
            "operation_spans": False,
            "exclude": _has_no_span,
            "metrics": False,
            "logs": False,
        },
        responses=_PROBLEM,
    )
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(CheckHost, names=[service, *allowed_hosts])
    app.add_middleware(RequestContextMiddleware, service=service, observer=observer, tracing=tracing)
    for error in (Refusal, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(error, _answer_error)

    waiting: dict[int | str, dict[str, Any]] = {
        503: {"description": "A needed part is not available", "content": {"application/json": {}}}
    }

    def status_of(parts: Mapping[str, bool], good: str, response: Response) -> str:
        response.status_code = 200 if all(parts.values()) else 503
        return good if all(parts.values()) else "waiting"

    @app.get(f"/{service}/health/live", tags=["operation"])
    async def live() -> dict[str, str]:
        """Answers as long as the process runs."""
        return {"status": "alive"}

    @app.get(f"/{service}/health/ready", tags=["operation"], responses=waiting)
    async def is_ready(response: Response) -> dict[str, Any]:
        """200 when all needed parts are available, else 503."""
        state = status_of(parts := await ready(), "ready", response)
        return {"status": state, "parts": {**parts, **(await optional() if optional else {})}}

    @app.get(f"/{service}/health/serving", tags=["operation"], responses=waiting)
    async def is_serving(response: Response) -> dict[str, Any]:
        """200 when the service can answer requests, else 503; it needs no broker for that."""
        parts = {name: available for name, available in (await ready()).items() if name != "broker"}
        return {"status": status_of(parts, "serving", response), "parts": parts}

    @app.get(f"/{service}/metrics", tags=["operation"], response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """Metrics in the Prometheus text format, or in OpenMetrics, with exemplars, for clients that accept it."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(REGISTRY), media_type=media_type)

    return app


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Adds the router's routes as they are. `include_router` would build each a second time, and match each request
    twice, in case the application had a prefix or dependencies for them."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            route.responses = _PROBLEM | route.responses
        app.routes.append(route)


def _has_no_span(scope: MutableMapping[str, Any]) -> bool:
    """A socket lasts for hours; probes and scrapes come all the time."""
    path = scope["path"]
    return scope["type"] == "websocket" or "/health/" in path or path.endswith("/metrics")


def wants_page(scope: Scope) -> bool:
    """Whether the client is a browser that shows a page."""
    return scope["type"] == "http" and b"text/html" in dict(scope["headers"]).get(b"accept", b"")


class RetryOnConflict(APIRoute):
    """A route that runs again when its transaction was rolled back because of a conflict. A route without a body
    refuses requests with one, since it would be ignored."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = shortened(self, super().get_route_handler())

        async def handle_with_retries(request: Request) -> Response:
            if self.body_field is None and (await request.body()).strip() not in (b"", b"{}", b"null"):
                raise InvalidRequest("This request has no body: send it without one.")
            for _ in range(TRIES - 1):
                try:
                    return await handle(request)
                except asyncpg.PostgresError as error:
                    if not is_lost(error):
                        raise
            return await handle(request)

        return handle_with_retries


async def _answer_error(request: Request, error: Exception) -> Response:
    problem = as_problem(error)
    if problem.status == 405:
        problem.headers = {"Allow": ", ".join(_allowed(request))}
    return problem_response(problem)


def _allowed(request: Request) -> list[str]:
    """The methods of the path; the framework knows only those of the first matching route."""
    known = [
        method
        for method in ("DELETE", "GET", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
    return sorted([*known, "HEAD"] if "GET" in known else known)


Rupiah = Annotated[int, Field(ge=0, le=1_000_000_000_000, description="whole rupiah")]
