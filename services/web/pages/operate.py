"""The operator's console. Every role but `operator` gets the answer of a page that does not exist."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Response
from fastapi.encoders import jsonable_encoder

from runtime.errors import InvalidRequest, NotFound
from services.web.pages import signing_in
from services.web.pages.start import own_path
from services.web.search import Found, search
from services.web.upstream import SERVICES, Refused, ServiceAway
from services.web.visits import AtConsole, Operator, Visit

router = APIRouter(prefix="/web/operate", include_in_schema=False)

WITHIN = 5.0
"""Seconds after which a service counts as one that does not answer."""
CHOSEN = 100
"""Parked messages that one action takes at the most."""
Service = Annotated[str, Path(pattern=f"^({'|'.join(SERVICES)})$")]
Action = Literal["replay", "discard"]


@router.get("")
async def entrance(visit: Operator) -> Response:
    """Where the console begins."""
    return visit.go(f"{visit.root}/")


@router.get("/sign-in")
async def sign_in_page(visit: AtConsole, back: str = "") -> Response:
    """The form to sign in with."""
    return visit.go(f"{visit.root}/") if visit.who is not None else signing_in.show_form(visit, own_path(back))


@router.post("/sign-in")
async def sign_in(visit: AtConsole) -> Response:
    """Signs in with a password."""
    return await signing_in.sign_in(visit)


@router.post("/sign-out")
async def sign_out(visit: Operator) -> Response:
    """Ends the session."""
    return await signing_in.sign_out(visit)


@router.get("/")
async def overview(visit: Operator) -> Response:
    """All services: health, replicas, lag, and what waits for an operator."""
    here = jsonable_encoder(await visit.request.app.state.console.state())
    return visit.page("operate.html", states={**await _from_all(visit, "state"), "web": here})


@router.get("/parked")
async def parked(visit: Operator) -> Response:
    """The parked messages of all services, grouped by error."""
    return visit.page("operate_parked.html", lists=await _from_all(visit, "parked"), chosen=CHOSEN)


@router.get("/parked/{service}/{action}")
async def confirm(visit: Operator, service: Service, action: Action, ids: str = "") -> Response:
    """Asks once, before anything is done."""
    return visit.page("operate_confirm.html", service=service, action=action, ids=_chosen(ids))


@router.post("/parked/{service}/{action}")
async def act(visit: Operator, service: Service, action: Action) -> Response:
    """Has the messages replayed or discarded."""
    form = await visit.form()
    body: dict[str, object] = {"ids": _chosen(form["ids"])}
    if action == "discard":
        body["reason"] = form["reason"]
    path = f"/{service}/operator/parked/{action}"
    return await visit.do("POST", path, body, then=f"{visit.root}/parked", notice=f"notice.{action}")


@router.get("/message/{service}/{parked_id}")
async def message(visit: Operator, service: Service, parked_id: UUID) -> Response:
    """One parked message, masked, with its history."""
    shown = await visit.get(f"/{service}/operator/parked/{parked_id}")
    history = [{"service": service, **one} for one in shown["history"]]
    return visit.page("operate_message.html", service=service, shown=shown, entries=history)


@router.get("/deadlines")
async def deadlines(visit: Operator) -> Response:
    """The deadlines of all services, overdue ones first."""
    states, lists = await asyncio.gather(_from_all(visit, "state"), _from_all(visit, "deadlines", limit=50))
    return visit.page("operate_deadlines.html", states=states, lists=lists)


@router.get("/refunds")
async def refunds(visit: Operator) -> Response:
    """The refunds that have not arrived, with what is known of DANA and the next step."""
    return visit.page("operate_refunds.html", refunds=await visit.get("/refunds/operator/open", limit=100))


@router.get("/trace")
async def trace(visit: Operator, id: str = "") -> Response:
    """Searches all services for one id, and shows the whole trace that it belongs to."""
    try:
        start = UUID(id.strip())
    except ValueError:
        return visit.page("operate_trace.html", 422 if id.strip() else 200, typed=id, found=None)

    async def ask(service: str, ids: Sequence[UUID]) -> Found | None:
        found: Found | None = await _or_away(visit.get(f"/{service}/operator/trace", id=[str(one) for one in ids]))
        return found

    return visit.page("operate_trace.html", typed=str(start), found=await search(ask, SERVICES, start))


@router.get("/audit")
async def audit(visit: Operator) -> Response:
    """What operators have done, at all services."""
    answers = await _from_all(visit, "audit", limit=50)
    entries = [{"service": name, **one} for name, answer in answers.items() for one in answer or ()]
    entries.sort(key=lambda one: str(one["at"]), reverse=True)
    away = [name for name, answer in answers.items() if answer is None]
    return visit.page("operate_audit.html", entries=entries, away_services=away)


async def _from_all(visit: Visit, path: str, **query: Any) -> dict[str, Any]:
    """The answer of each service; None of one that does not answer."""
    asked = [_or_away(visit.get(f"/{name}/operator/{path}", **query)) for name in SERVICES]
    return dict(zip(SERVICES, await asyncio.gather(*asked), strict=True))


async def _or_away(asked: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(WITHIN):
            return await asked
    except (ServiceAway, Refused, TimeoutError):
        return None


def _chosen(ids: str) -> list[str]:
    """The ids in a form or an address."""
    try:
        chosen = [str(UUID(one)) for one in ids.split(",")]
    except ValueError as error:
        raise InvalidRequest from error
    if len(chosen) > CHOSEN:
        raise NotFound
    return chosen
