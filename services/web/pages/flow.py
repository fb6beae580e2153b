"""Events on their way, live, and the last traces. In demonstration mode only."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from runtime.http.hosts import ForeignSite, is_foreign
from services.web.flow.reader import Reader
from services.web.flow.rehearsal import Rehearsal
from services.web.flow.traces import Trace
from services.web.flow.waterfall import Row, rows
from services.web.upstream import SERVICES
from services.web.visits import Public

router = APIRouter(prefix="/web/flow", include_in_schema=False)

SHOWN = 40
"""Traces that a page shows when it is loaded."""
DRAWN = 1000
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


Flow = Annotated[FlowDependencies, Depends(_dependencies)]


async def _subscription(flow: Flow, _: Annotated[None, Depends(_own_site)]) -> AsyncIterator[AsyncIterator[str]]:
    with flow.reader.browsers.subscribe() as frames:
        yield frames


@router.get("")
async def page(visit: Public, flow: Flow) -> Response:
    """The picture, the switches, the money, and the last traces."""
    traces = [trace.summary() for trace in flow.reader.traces.latest(SHOWN)]
    return visit.page("flow.html", traces=traces, services=SERVICES, totals=flow.reader.frames.totals())


@router.get("/live", response_class=EventSourceResponse)
async def live(
    flow: Flow, frames: Annotated[AsyncIterator[str], Depends(_subscription)]
) -> AsyncIterator[ServerSentEvent]:
    """Everything from now on, a frame at a time."""
    yield ServerSentEvent(event="totals", data=flow.reader.frames.totals(), retry=1000)
    async for frame in frames:
        yield ServerSentEvent(event="frame", raw_data=frame)


@router.get("/stories/{correlation_id}")
async def show_trace(
    visit: Public, flow: Flow, correlation_id: Annotated[str, Path(pattern="^[!-~]{1,40}$")], part: bool = False
) -> Response:
    """One trace as a waterfall; with `part` only the waterfall, for a page that has the rest."""
    trace = await flow.reader.find(correlation_id)
    found = {} if trace is None else drawn(trace)
    return visit.page(
        "flow_part.html" if part else "flow_trace.html", 404 if trace is None else 200, trace=trace, **found
    )


@router.post("/stories", dependencies=[Depends(_own_site)])
async def start(flow: Flow, count: int = 1, dana: bool = False) -> Response:
    """Lets demonstration buyers cancel orders."""
    await flow.rehearsal.cancel(max(1, min(count, 20)), dana=dana)
    return JSONResponse({"count": count}, 202)


def drawn(trace: Trace) -> dict[str, Any]:
    """The lines of the waterfall with their bars in units of the drawing."""
    lines = rows(trace)
    whole = max((row.end for row in lines), default=0.0) or 1e-6

    def bar(start: float, took: float) -> tuple[float, float]:
        left = min(max(start / whole, 0.0), 1.0) * (DRAWN - THINNEST)
        return round(left, 1), round(max(took / whole * DRAWN, THINNEST), 1)

    def line(row: Row) -> dict[str, Any]:
        bars = [(one.kind, *bar(one.start, one.took), one.took) for one in row.bars]
        return {"row": row, "bars": bars, "start": row.start, "took": row.end - row.start}

    kinds = dict.fromkeys(one.kind for row in lines for one in row.bars)
    return {"lines": [line(row) for row in lines], "kinds": list(kinds), "whole": whole, "summary": trace.summary()}
