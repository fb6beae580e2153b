"""Events on their way, live, and the last traces. In demonstration mode only."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from contracts import EVENTS
from runtime.http.hosts import ForeignSite, is_foreign
from services.web.flow.frames import DRAWN, move
from services.web.flow.reader import Reader
from services.web.flow.rehearsal import Rehearsal
from services.web.flow.traces import Trace
from services.web.flow.waterfall import Row, rows
from services.web.seats import SEATS
from services.web.upstream import SERVICES
from services.web.visits import Public, Visit

router = APIRouter(prefix="/web/flow", include_in_schema=False)

SHOWN = 40
"""Traces that a page shows when it is loaded."""
WIDE = 1000
"""Units that the timeline of a waterfall is wide."""
THINNEST = 4


@dataclass(frozen=True)
class FlowDependencies:
    """What these pages need besides `WebDependencies`."""

    reader: Reader
    rehearsal: Rehearsal


async def _dependencies(request: Request) -> FlowDependencies:
    dependencies: FlowDependencies = request.app.state.flow
    return dependencies


async def _own_site(request: Request) -> None:
    if is_foreign(request.headers):
        raise ForeignSite


TraceId = Annotated[str, Path(pattern="^[!-~]{1,40}$")]
"""Of a trace, or of an order, which stands for its latest cancellation."""
Flow = Annotated[FlowDependencies, Depends(_dependencies)]


async def _subscription(flow: Flow, _: Annotated[None, Depends(_own_site)]) -> AsyncIterator[AsyncIterator[str]]:
    with flow.reader.browsers.subscribe() as frames:
        yield frames


@router.get("")
async def page(visit: Public, flow: Flow, trace: Annotated[str, Query(max_length=40)] = "") -> Response:
    """The picture, the switches, the money, and the last traces; `trace` is followed: the id of one, or of an order."""
    traces = [one.summary() for one in flow.reader.traces.latest(SHOWN)]
    found = flow.reader.traces.find(trace)
    follow = trace if found is None else found.correlation_id
    totals = flow.reader.frames.totals()
    publishers = {name for event in EVENTS for name in event.published_by}
    shown: dict[str, Any] = {
        "traces": traces,
        "services": SERVICES,
        "publishers": publishers,
        "totals": totals,
        "follow": follow,
    }
    return visit.page("flow.html", **shown)


@router.get("/live", response_class=EventSourceResponse)
async def live(
    flow: Flow, frames: Annotated[AsyncIterator[str], Depends(_subscription)]
) -> AsyncIterator[ServerSentEvent]:
    """Everything from now on, a frame at a time."""
    yield ServerSentEvent(event="totals", data=flow.reader.frames.totals(), retry=1000)
    async for frame in frames:
        yield ServerSentEvent(event="frame", raw_data=frame)


@router.get("/stories/{correlation_id}")
async def show_trace(visit: Public, flow: Flow, correlation_id: TraceId, part: bool = False) -> Response:
    """One trace as a waterfall; with `part` only the waterfall, for a page that has the rest."""
    trace = await flow.reader.find(correlation_id)
    found = {} if trace is None else drawn(trace)
    return visit.page(
        "flow_part.html" if part else "flow_trace.html", 404 if trace is None else 200, trace=trace, **found
    )


@router.get("/stories/{correlation_id}/moves")
async def show_moves(flow: Flow, correlation_id: TraceId) -> Response:
    """The steps of one trace, to be drawn one after the other."""
    trace = await flow.reader.find(correlation_id)
    moves = [] if trace is None else [move(one) for one in trace.records if one.stage in DRAWN]
    return JSONResponse(sorted(moves, key=lambda one: one["began"]))


@router.post("/orders/{order_id}")
async def open_order(visit: Public, flow: Flow, order_id: UUID) -> Response:
    """Opens the order's page; an order that was begun here is opened by its buyer."""
    await visit.form()
    seat = Visit(visit.request, visit.dependencies, SEATS[0])
    answer = await flow.rehearsal.sign_in_as_buyer_of(str(order_id))
    if answer is not None:
        seat.sit(answer)
    return seat.go(f"{seat.root}/orders/{order_id}")


@router.post("/stories", dependencies=[Depends(_own_site)])
async def start(flow: Flow, count: int = 1, dana: bool = False) -> Response:
    """Lets demonstration buyers cancel orders."""
    orders = await flow.rehearsal.cancel(max(1, min(count, 20)), dana=dana)
    return JSONResponse({"orders": orders}, 202)


def drawn(trace: Trace) -> dict[str, Any]:
    """The lines of the waterfall with their bars in units of the drawing."""
    lines = rows(trace)
    whole = max((row.end for row in lines), default=0.0) or 1e-6

    def bar(start: float, took: float) -> tuple[float, float]:
        left = min(max(start / whole, 0.0), 1.0) * (WIDE - THINNEST)
        return round(left, 1), round(max(took / whole * WIDE, THINNEST), 1)

    def line(row: Row) -> dict[str, Any]:
        bars = [(one.kind, *bar(one.start, one.took), one.took) for one in row.bars]
        return {"row": row, "bars": bars, "start": row.start, "took": row.end - row.start}

    kinds = dict.fromkeys(one.kind for row in lines for one in row.bars)
    return {"lines": [line(row) for row in lines], "kinds": list(kinds), "whole": whole, "summary": trace.summary()}
