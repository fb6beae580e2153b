"""The HTTP interface of demonstration mode: the state of a service, and its switches.

Any client of the gateway may use it. Therefore demonstration mode is for 127.0.0.1 only. Pages of other sites, open in
the same browser, may not.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field, TypeAdapter

from runtime.demo.switches import FaultSwitchboard, Switches
from runtime.errors import NotFound
from runtime.http.app import Body
from runtime.http.hosts import ForeignSite, is_foreign
from runtime.messaging import outbox, parked
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.observability.trace_context import new_id
from runtime.storage import clock

PARKED_SHOWN = 50
DEADLINES_SHOWN = 8
_DEADLINES = """
select kind, subject, correlation_id, extract(epoch from due_at - clock_now())::float8 as due_in
from deadlines order by due_at limit $1
"""


async def own_site(request: Request) -> None:
    """Refuses the requests of pages of other sites; clients other than browsers do not name a page."""
    if is_foreign(request.headers):
        raise ForeignSite


class ParkedView(BaseModel):
    """A parked message."""

    parked_id: UUID
    event_id: UUID | None
    routing_key: str
    error: str
    state: str
    parked_at: datetime


class DeadlineView(BaseModel):
    """A deadline that has not fired; `due_in` in seconds, negative once it is due."""

    kind: str
    subject: str
    correlation_id: UUID
    due_in: float


class ServiceState(BaseModel):
    """The state of a service."""

    service: str
    unpublished: int
    """Events in its outbox that the broker has not confirmed."""
    waiting: int | None
    """Messages in its queue; null without a queue, or without a broker."""
    parked: list[ParkedView]
    """Parked messages that were neither replayed nor discarded, newest first, at most `PARKED_SHOWN`."""
    parked_in_all: int
    deadlines: list[DeadlineView]
    """The next ones, at most `DEADLINES_SHOWN`."""
    switches: Switches
    resets_in: int
    """Seconds until the switches reset; 0 if all are normal."""
    clock: float
    """The offset of its clock, in seconds."""


class Advance(Body):
    """The hours by which the clock is to move."""

    hours: Annotated[int, Field(ge=1, le=24 * 14)]


class Moved(BaseModel):
    """The new offset of the clock, in seconds."""

    clock: float


class Poisoned(BaseModel):
    """The event that was published without its required fields."""

    type: str
    subject: str


def routes(
    uow: UnitOfWork, board: FaultSwitchboard, waiting: Callable[[], Awaitable[int | None]], event: type[Event] | None
) -> APIRouter:
    """`/{service}/demonstration/…`

    `waiting` counts the messages in the service's queue; `event` is the one to publish without its required fields.
    """
    service = uow.service
    router = APIRouter(prefix=f"/{service}/demonstration", tags=["demonstration"], dependencies=[Depends(own_site)])

    @router.get("/state")
    async def state() -> ServiceState:
        """Events in outbox and queue, parked messages, the next deadlines, the switches, the offset of the clock."""
        async with uow.database.connection() as connection:
            unpublished, _ = await outbox.waiting(connection, uow.held())
            kept = [one for one in await parked.listing(connection) if one.state in ("parked", "replay")]
            due = await connection.fetch(_DEADLINES, DEADLINES_SHOWN)
            shift = await clock.shift(connection)
        return ServiceState(
            service=service,
            unpublished=unpublished,
            waiting=await waiting(),
            parked=[ParkedView.model_validate(one, from_attributes=True) for one in kept[: -PARKED_SHOWN - 1 : -1]],
            parked_in_all=len(kept),
            deadlines=[DeadlineView.model_validate(dict(one)) for one in due],
            switches=board.now,
            resets_in=board.resets_in,
            clock=shift.total_seconds(),
        )

    @router.put("/switches")
    async def turn(switches: Switches) -> Switches:
        """Sets the switches. They reset after ten minutes."""
        await board.turn(switches)
        return switches

    @router.post("/clock")
    async def advance(body: Advance) -> Moved:
        """Moves the clock of this service forward."""
        async with uow.database.connection() as connection:
            moved = await clock.advance(connection, timedelta(hours=body.hours))
        uow.wake_deadlines()
        return Moved(clock=moved.total_seconds())

    @router.post("/parked/{parked_id}/replay", status_code=202)
    async def replay(parked_id: UUID) -> None:
        """Requests the replay of a message, within two seconds."""
        async with uow.database.connection() as connection:
            if not await parked.ask_for_replay(connection, [parked_id]):
                raise NotFound("No such message is parked.")

    if event is not None:

        @router.post("/poison", status_code=202)
        async def poison() -> Poisoned:
            """Publishes an event with its subject only. Its consumers park it."""
            field = event.subject_field
            kind: Any = event.model_fields[field].annotation
            subject = TypeAdapter(kind).validate_python(str(new_id()))
            bad: dict[str, Any] = {field: subject}
            async with uow.begin() as tx:
                tx.publish(event.model_construct(**bad))
            return Poisoned(type=event.wire_name, subject=str(subject))

    return router
