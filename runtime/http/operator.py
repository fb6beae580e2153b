"""`/{service}/operator/…`: what the operator's console asks a service. For all others these paths do not exist."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import Field, StringConstraints
from starlette.exceptions import HTTPException

from runtime.errors import NotFound, Unauthenticated, WrongRole
from runtime.http.app import Body, HealthChecks, Limit
from runtime.http.auth import OPERATOR, Identity
from runtime.http.text import Visible
from runtime.messaging import audit, operations, parked
from runtime.messaging.audit import Entry
from runtime.messaging.envelope import Event
from runtime.messaging.masking import masked
from runtime.messaging.operations import DueDeadline, FindRecords, Found, Workload
from runtime.messaging.parked import NotParked, Parked
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database import DatabaseUnavailable
from runtime.storage.database_errors import is_transient

MAX_IDS = 200
"""Ids in one request. Beyond that the console asks again."""
PARKED_SHOWN = 500


class OperatorRoute(APIRoute):
    """A route for operators. All others get the answer of a path that does not exist, whatever they send."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the check."""
        handle = super().get_route_handler()

        async def handle_for_operators(request: Request) -> Response:
            try:
                request.state.operator = await OPERATOR(request)
            except (Unauthenticated, WrongRole):
                raise HTTPException(404) from None
            return await handle(request)

        return handle_for_operators


async def _operator(request: Request) -> Identity:
    operator: Identity = request.state.operator
    return operator


Operator = Annotated[Identity, Depends(_operator)]


def operator_router(service: str) -> APIRouter:
    """An empty router for such paths of a service. They are in no OpenAPI document."""
    return APIRouter(prefix=f"/{service}/operator", route_class=OperatorRoute, include_in_schema=False)


@dataclass(frozen=True)
class ServiceState:
    """How the service is. `workload` is null while its database is away, `waiting` (messages in its queues) without a
    queue or a broker."""

    service: str
    replica: str
    """The one that answers."""
    parts: Mapping[str, bool]
    optional: Mapping[str, bool]
    waiting: int | None
    workload: Workload | None


@dataclass(frozen=True)
class ParkedGroup:
    """Parked messages with one key and one kind of error, newest first."""

    routing_key: str
    error: str
    messages: list[Parked]


@dataclass(frozen=True)
class ParkedList:
    """The groups of the latest `PARKED_SHOWN` messages; `total` counts all."""

    total: int
    groups: list[ParkedGroup]


@dataclass(frozen=True)
class ParkedMessage:
    """A parked message; `payload` is null if it is no JSON object, `history` is what was done about it."""

    message: Parked
    payload: Any
    history: Sequence[Entry]


class Chosen(Body):
    """Parked messages, by id."""

    ids: Annotated[list[Annotated[UUID, Field(strict=False)]], Field(min_length=1, max_length=PARKED_SHOWN)]


class Discarded(Chosen):
    """Why they are discarded."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500), Visible]


class Console:
    """Answers the console from this service's database."""

    def __init__(
        self,
        uow: UnitOfWork,
        replica: str,
        ready: HealthChecks,
        optional: HealthChecks,
        waiting: Callable[[], Awaitable[int | None]],
        known: Mapping[str, type[Event]],
        find: FindRecords,
    ) -> None:
        """`known`: the events that the service consumes, by name; `find` searches its own tables."""
        self._uow = uow
        self._replica = replica
        self._ready = ready
        self._optional = optional
        self._waiting = waiting
        self._known = known
        self._find = find

    async def state(self) -> ServiceState:
        """The state of the service, also while its database is away."""
        return ServiceState(
            service=self._uow.service,
            replica=self._replica,
            parts=await self._ready(),
            optional=await self._optional(),
            waiting=await self._waiting(),
            workload=await self._workload(),
        )

    async def _workload(self) -> Workload | None:
        try:
            async with self._uow.database.connection() as connection:
                return await operations.workload(connection, self._uow.held())
        except Exception as error:
            if not is_transient(error) and not isinstance(error, DatabaseUnavailable):
                raise
            return None

    def router(self) -> APIRouter:
        """The routes."""
        database = self._uow.database
        router = operator_router(self._uow.service)
        router.add_api_route("/state", self.state, response_model=ServiceState)

        @router.get("/parked")
        async def list_parked() -> ParkedList:
            """The parked messages, grouped by error."""
            async with database.connection() as connection:
                total, messages = await parked.waiting(connection, PARKED_SHOWN)
            groups: dict[tuple[str, str], list[Parked]] = {}
            for one in map(operations.safe, messages):
                groups.setdefault((one.routing_key, one.error), []).append(one)
            return ParkedList(total, [ParkedGroup(*kind, group) for kind, group in groups.items()])

        @router.get("/parked/{parked_id}")
        async def show_parked(parked_id: UUID) -> ParkedMessage:
            """One parked message: what may be seen of it, and its history."""
            async with database.connection() as connection:
                found = await parked.show(connection, parked_id)
                history = await audit.latest(connection, 100, str(parked_id))
            if found is None:
                raise NotFound("No such message is parked.")
            return ParkedMessage(operations.safe(found), masked(found.body, self._known), history)

        @router.post("/parked/replay", status_code=202)
        async def replay(body: Chosen, operator: Operator) -> None:
            """Requests the replay of these messages, unchanged, within two seconds."""
            async with database.connection() as connection:
                if not await parked.ask_for_replay(connection, body.ids, operator.account_id):
                    raise NotParked

        @router.post("/parked/discard", status_code=204)
        async def discard(body: Discarded, operator: Operator) -> None:
            """Discards these messages."""
            async with database.connection() as connection:
                if not await parked.discard(connection, body.ids, operator.account_id, body.reason):
                    raise NotParked

        @router.get("/deadlines")
        async def list_deadlines(limit: Limit = 50) -> list[DueDeadline]:
            """The deadlines that have not fired, the most overdue first."""
            async with database.connection() as connection:
                return list(await operations.deadlines(connection, limit))

        @router.get("/trace")
        async def trace(ids: Annotated[list[UUID], Query(alias="id", min_length=1, max_length=MAX_IDS)]) -> Found:
            """What the service knows under these ids."""
            async with database.connection() as connection:
                return await operations.search(connection, ids, self._find)

        @router.get("/audit")
        async def audited(limit: Limit = 50) -> list[Entry]:
            """The latest actions of operators at this service, newest first."""
            async with database.connection() as connection:
                return list(await audit.latest(connection, limit))

        return router
