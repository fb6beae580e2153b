"""The HTTP interface of a demonstration: how a service is doing, and what can be done to it.

Anybody who reaches the gateway may use it. That is what demonstration mode is, and why it is for 127.0.0.1 only; a page
of another site, open in the same browser, may not.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field, TypeAdapter

from runtime.demo.switches import FaultSwitchboard, Switches
from runtime.errors import NotFound
from runtime.http.app import Body, UnitOfWorkDep
from runtime.http.hosts import ForeignSite, is_foreign
from runtime.messaging import outbox, parked
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.observability.trace_context import new_id
from runtime.storage import clock

PARKED_SHOWN = 50


async def own_site(request: Request) -> None:
    """Refuses what a browser sends on behalf of a foreign page; other clients say nothing of where it comes from."""
    if is_foreign(request.headers):
        raise ForeignSite


class ParkedView(BaseModel):
    """A message that was set aside."""

    parked_id: UUID
    event_id: UUID | None
    routing_key: str
    error: str
    state: str
    parked_at: datetime


class ServiceState(BaseModel):
    """How a service is doing."""

    service: str
    unpublished: int
    """Events in its outbox that the broker has not confirmed."""
    waiting: int | None
    """Messages in its queue; null when it has none, or cannot ask for want of a broker."""
    parked: list[ParkedView]
    """Messages set aside and not replayed, newest first, `PARKED_SHOWN` at the most."""
    parked_in_all: int
    switches: Switches
    clock: float
    """Seconds by which its time is moved."""


class Advance(Body):
    """How far time is to move."""

    hours: Annotated[int, Field(ge=1, le=24 * 14)]


class Moved(BaseModel):
    """By how many seconds time is moved now."""

    clock: float


class Poisoned(BaseModel):
    """Which event was sent without what belongs into it."""

    type: str
    subject: str


@dataclass(frozen=True)
class DemoDependencies:
    """What the routes need of a service."""

    uow: UnitOfWork
    board: FaultSwitchboard
    waiting: Callable[[], Awaitable[int | None]]
    poison: type[Event] | None
    """The event that is sent as a bad one: the one that most services hear."""


def routes(dependencies: DemoDependencies) -> APIRouter:
    """`/{service}/demonstration/…`"""
    service = dependencies.uow.service
    router = APIRouter(prefix=f"/{service}/demonstration", tags=["demonstration"], dependencies=[Depends(own_site)])

    @router.get("/state")
    async def state(uow: UnitOfWorkDep) -> ServiceState:
        """What waits in outbox and queue, what is parked, what is switched off, how far the clock is moved."""
        async with uow.database.connection() as connection:
            unpublished = await outbox.count(connection, service, uow.held())
            aside = [one for one in await parked.listing(connection) if one.state != "replayed"]
            shift = await clock.shift(connection)
        return ServiceState(
            service=service,
            unpublished=unpublished,
            waiting=await dependencies.waiting(),
            parked=[ParkedView.model_validate(one, from_attributes=True) for one in aside[: -PARKED_SHOWN - 1 : -1]],
            parked_in_all=len(aside),
            switches=dependencies.board.now,
            clock=shift.total_seconds(),
        )

    @router.put("/switches")
    async def turn(switches: Switches) -> Switches:
        """Breaks the service, or mends it; after ten minutes it is mended anyway."""
        await dependencies.board.turn(switches)
        return switches

    @router.post("/clock")
    async def advance(body: Advance, uow: UnitOfWorkDep) -> Moved:
        """Moves the time of this service forward."""
        async with uow.database.connection() as connection:
            moved = await clock.advance(connection, timedelta(hours=body.hours))
        uow.wake_deadlines()
        return Moved(clock=moved.total_seconds())

    @router.post("/parked/{parked_id}/replay", status_code=202)
    async def replay(parked_id: UUID, uow: UnitOfWorkDep) -> None:
        """Has a message handled again, within a second."""
        async with uow.database.connection() as connection:
            if not await parked.ask_for_replay(connection, [parked_id]):
                raise NotFound("No such message is parked.")

    if dependencies.poison is not None:
        event = dependencies.poison

        @router.post("/poison", status_code=202)
        async def poison(uow: UnitOfWorkDep) -> Poisoned:
            """Publishes an event that says nothing but whom it is about. Whoever hears it parks it."""
            field = event.subject_field
            kind: Any = event.model_fields[field].annotation
            subject = TypeAdapter(kind).validate_python(str(new_id()))
            bad: dict[str, Any] = {field: subject}
            async with uow.begin() as tx:
                tx.publish(event.model_construct(**bad))
            return Poisoned(type=event.wire_name, subject=str(subject))

    return router
