"""The lessons: predict, do, see, remove the pattern, read, answer. In demonstration mode only."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import StreamingResponse

from contracts.words import rupiah
from services.web.flow.reader import Reader
from services.web.flow.traces import Trace
from services.web.lessons import progress
from services.web.lessons.own import OWN
from services.web.lessons.prose import phrase, prose
from services.web.lessons.removal import Removal
from services.web.lessons.stage import Stage
from services.web.lessons.texts import LESSONS, NAMES, RECORDED, Line
from services.web.pages.flow import drawn
from services.web.upstream import Refused, ServiceAway
from services.web.visits import YEAR, Form, Public, Visit

router = APIRouter(prefix="/web/lessons", include_in_schema=False)

Name = Annotated[str, Path(pattern=f"^({'|'.join(NAMES)})$")]
_WRITTEN: dict[str, Any] = {"prose": prose, "phrase": phrase}
"""Functions of these templates."""
_AMOUNTS = frozenset({"owed", "back", "paid", "amount", "shown"})
"""Which facts of a run are whole rupiah."""
_RUN = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands where the lines of a run come."""


@dataclass(frozen=True)
class LessonDependencies:
    """What these pages need besides `WebDependencies`."""

    stage: Stage
    removal: Removal
    reader: Reader


async def _dependencies(request: Request) -> LessonDependencies:
    dependencies: LessonDependencies = request.app.state.lessons
    return dependencies


Inside = Annotated[LessonDependencies, Depends(_dependencies)]


@router.get("")
async def contents(visit: Public) -> Response:
    """The lessons in their order, and how far the learner is."""
    lessons = {name: lesson.said(visit.language) for name, lesson in LESSONS.items()}
    return visit.page("lessons.html", lessons=lessons, progress=_progress(visit), marks=progress.MARKS, **_WRITTEN)


@router.get("/own")
async def own(visit: Public) -> Response:
    """The last page: a consumer of the learner's own."""
    return visit.page("lessons_own.html", steps=OWN, **_WRITTEN)


@router.get("/{name}")
async def lesson(visit: Public, inside: Inside, name: Name, order: str = "") -> Response:
    """One lesson, as far as the learner is; `order` is the order that the learner started here."""
    return visit.page("lesson.html", **_shown(visit, inside, name), **_traced(inside.reader, order))


@router.post("/{name}/choice")
async def choose(visit: Public, name: Name) -> Response:
    """Keeps a prediction, or the answer to the question at the end."""
    form = await visit.form()
    step, mark = ("ask", progress.ANSWERED) if form["step"] == "ask" else ("predict", progress.PREDICTED)
    if form["choice"] in {str(number + 1) for number in range(len(getattr(LESSONS[name], step).choices))}:
        _mark(visit, name, mark, form["choice"])
    return visit.go(f"/web/lessons/{name}{_kept(form)}#{'ask' if step == 'ask' else 'do'}")


@router.post("/{name}/do")
async def do(visit: Public, inside: Inside, name: Name) -> Response:
    """Starts the thing in the running system."""
    await visit.form()
    try:
        order = await inside.stage.play(name)
    except (Refused, ServiceAway) as error:
        return visit.go(f"/web/lessons/{name}#do", f"error.{error.code}")
    _mark(visit, name, progress.DONE)
    return visit.go(f"/web/lessons/{name}?order={order}#see")


@router.get("/{name}/removed")
async def back(visit: Public, name: Name) -> Response:
    """For a reload, or another language."""
    return visit.go(f"/web/lessons/{name}#remove")


@router.post("/{name}/removed")
async def remove(visit: Public, inside: Inside, name: Name) -> Response:
    """The page with a run without the pattern: the browser shows each line as it comes."""
    form = await visit.form()
    marks = _mark(visit, name, progress.REMOVED)
    shown = _shown(visit, inside, name) | {"marks": marks, "run": _RUN}
    page = visit.render("lesson.html", **shown, **_traced(inside.reader, form["order"], final=True))
    before, _, after = page.partition(_RUN)

    async def parts() -> AsyncIterator[str]:
        yield before
        async with aclosing(inside.removal.lines(name)) as lines:
            async for line in lines:
                yield visit.render("lesson_line.html", line=_written(line))
        yield after

    return StreamingResponse(parts(), media_type="text/html")


def _progress(visit: Visit) -> dict[str, progress.Marks]:
    return progress.read(visit.request.cookies.get("lessons", ""))


def _mark(visit: Visit, name: str, mark: str, value: str = "") -> progress.Marks:
    known = _progress(visit)
    marks = known.setdefault(name, {})
    marks[mark] = value
    visit.set_cookie("lessons", progress.written(known), YEAR, "/web/lessons")
    return marks


def _kept(form: Form) -> str:
    """The query that keeps the order on the page."""
    return f"?order={form['order']}" if form["order"].replace("-", "").isalnum() else ""


def _shown(visit: Visit, inside: LessonDependencies, name: str) -> dict[str, Any]:
    at = NAMES.index(name) + 1
    return {
        "name": name,
        "at": at,
        "following": NAMES[at] if at < len(NAMES) else "",
        "count": len(NAMES),
        "lesson": LESSONS[name].said(visit.language),
        "marks": _progress(visit).get(name, {}),
        "recorded": RECORDED[name],
        "kept": [_written(line) for line in RECORDED[name].kept],
        "live": inside.removal.live,
        "run": "",
        **_WRITTEN,
    }


def _written(line: Line) -> Line:
    """The line, with its amounts written out."""
    if "verdict" in line:
        return {"verdict": line["verdict"] | {"figures": _amounts(line["verdict"]["figures"])}}
    return line | {"fields": _amounts(line.get("fields", {}))}


def _amounts(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: rupiah(fact) if key in _AMOUNTS else fact for key, fact in facts.items()}


def _traced(reader: Reader, order: str, *, final: bool = False) -> dict[str, Any]:
    """The trace of the order's cancellation. With `final` the page does not look again."""
    trace = _trace_of(reader, order) if order else None
    parts = {} if trace is None else drawn(trace)
    moves = bool(order) and not final and (trace is None or trace.state == "under_way" or trace.outcome != "refunded")
    return {"order": order, "trace": trace, "moves": moves, **parts}


def _trace_of(reader: Reader, order: str) -> Trace | None:
    """The newest trace with an event that asks for a cancellation of the order, or is one."""
    return next(
        (
            trace
            for trace in reversed(reader.traces.all.values())
            if any(one.subject == order and one.type.startswith("OrderCancel") for one in trace.records)
        ),
        None,
    )
