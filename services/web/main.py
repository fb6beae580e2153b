"""Builds the service `web`."""

from datetime import timedelta
from pathlib import Path

import httpx
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from runtime.errors import Refusal
from runtime.http.app import add_routes, wants_page
from runtime.http.problems import as_problem, problem_response
from runtime.http.revocations import Revocations
from runtime.messaging.bus import Bus
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage import clock
from runtime.storage.database import Database
from runtime.storage.redis import connect, writes
from services.web.flow.reader import Reader
from services.web.guard import SecurityHeadersMiddleware
from services.web.lessons.people import People
from services.web.lessons.removal import Removal
from services.web.lessons.stage import Stage
from services.web.pages import flow, lessons, router
from services.web.refreshing import Refreshing
from services.web.seats import CONSOLE, SEATS, seat_path
from services.web.templating import STATIC, environment, version
from services.web.upstream import Upstream
from services.web.visits import SignInFirst, Visit, WebDependencies

SPEC = ServiceSpec(
    text="The pages: what people see in a browser.",
    router=router,
    migrations=Path(__file__).parent / "migrations",
    publishes=(),
)


class Assets(StaticFiles):
    """The static files, under any version: while replicas of two versions serve, a page of one asks the other for its
    files. Browsers cache for ever only those that the address names."""

    def __init__(self, version: str) -> None:
        super().__init__(directory=STATIC)
        self._version = version

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file."""
        answer = await super().get_response(path, scope)
        is_own = scope["path_params"]["version"] == self._version
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_own else "no-store"
        return answer


def build(
    settings: Settings,
    env: Environment,
    database_url: str,
    bus: Bus,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Service:
    """The service, ready to run; `transport` reaches the other services where they are in this process."""
    token_keys = Path(env.require("TOKEN_KEYS"))
    service = Service(settings, Database(database_url), bus, token_keys, SPEC)
    redis = connect(settings.redis_url)
    revocations = Revocations(redis)
    revocations.attach(service.app, service.background)
    upstream = Upstream.read(env, transport, service.uow.tracing)
    files = version()
    service.app.state.dependencies = WebDependencies(
        upstream=upstream,
        refreshing=Refreshing(upstream, redis),
        revocations=revocations,
        verifier=service.app.state.verifier,
        templates=environment(f"/web/static/{files}"),
        demonstration=settings.demonstration,
    )
    service.app.mount("/web/static/{version}", Assets(files))
    service.app.add_middleware(SecurityHeadersMiddleware, framed=settings.demonstration)
    for error in (Refusal, RequestValidationError, HTTPException, Exception):
        service.app.add_exception_handler(error, show_problem)
    service.app.add_exception_handler(SignInFirst, send_to_sign_in)

    async def redis_writes() -> bool:
        return await writes(redis, service.name)

    if settings.demonstration:
        reader, people = Reader(redis, service.uow.database), People(upstream)
        show_flow(service, reader, people)
        teach(service, reader, Stage(upstream, people, lambda hours: move_clock(service, hours)))
    service.optional_checks["redis"] = redis_writes
    service.on_stop += [redis.aclose, upstream.close]
    return service


def show_flow(service: Service, reader: Reader, people: People) -> None:
    """Adds the flow page."""
    service.app.state.flow = flow.FlowDependencies(reader, people)
    add_routes(service.app, flow.router)
    service.on_start.append(reader.load)
    service.background += [reader.consume, reader.save]


def teach(service: Service, reader: Reader, stage: Stage) -> None:
    """Adds the lessons."""
    removal = Removal(live=True)
    service.app.state.lessons = lessons.LessonDependencies(stage, removal, reader)
    add_routes(service.app, lessons.router)
    service.on_stop += [stage.stop, removal.stop]


async def move_clock(service: Service, hours: int) -> None:
    """Moves the clock of this service, which shows times, forward."""
    async with service.uow.database.connection() as connection:
        await clock.advance(connection, timedelta(hours=hours))


async def show_problem(request: Request, error: Exception) -> Response:
    """Answers a problem: with a page if the client asked for one, else with problem details."""
    problem = as_problem(error)
    if not wants_page(request.scope):
        return problem_response(problem)
    status = 404 if isinstance(error, RequestValidationError) else problem.status
    seat = str(request.path_params.get("seat", getattr(request.state, "seat", "")))
    visit = Visit(request, request.app.state.dependencies, seat if seat in (*SEATS, CONSOLE) else "")
    visit.remember()
    code = "not_found" if status == 404 else problem.code
    return visit.page("error.html", status, code=code, again=request.method == "GET" and status >= 500)


async def send_to_sign_in(request: Request, error: Exception) -> Response:
    """Redirects to signing in, and from there back to the wanted page."""
    assert isinstance(error, SignInFirst)
    if not wants_page(request.scope):
        return Response(status_code=401)
    back = QueryParams({"back": error.back})
    return RedirectResponse(f"{seat_path(error.seat)}/sign-in?{back}", 303)
