"""The agent desk: the cases, one conversation, and its order, side by side."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response

from services.web.pages.chat import latest, speak
from services.web.pages.help import OVER
from services.web.pieces import by_pieces
from services.web.visits import After, Agent, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

OUTCOMES = ("answered", "seller_answered", "order_processed", "order_cancelled", "withdrawn")
CANNED = ("order", "contacted", "money", "how", "shipped")
"""Ready replies: `canned.…` and `canned.….text` in the words."""


async def show(visit: Visit, case_id: UUID | None = None, *, everything: bool = False) -> Response:
    """The desk with this case, with all its messages if `everything`; without one, with the active case that has waited
    longest for an answer."""
    duty = await visit.get("/cs/duty")
    queue = (await visit.get("/cs/cases", state="waiting", limit=20))["items"]
    active = await _cases(visit, "active", "seller_replied")
    known = {case["case_id"] for case in active}
    waiting = [case for case in await _cases(visit, "awaiting_seller", "cancelling") if case["case_id"] not in known]
    known |= {case["case_id"] for case in waiting}
    first = min(active, key=lambda case: case.get("waits_since") or "9", default=None)
    case = await visit.get(f"/cs/cases/{case_id}") if case_id else first
    return visit.page(
        "desk.html",
        duty=duty,
        active=active,
        waiting=sorted(waiting, key=lambda case: case["respond_by"] or ""),
        queue=[case for case in queue if case["case_id"] not in known],  # a case may move between two requests
        panels=[await _panel(visit, case, everything=everything)] if case else [],
        is_open=case_id is not None,
        outcomes=OUTCOMES,
        canned=CANNED,
        now=await visit.now(),
    )


async def _cases(visit: Visit, *states: str) -> list[dict[str, Any]]:
    """All of this agent's cases in these states, the oldest first."""
    found: dict[str, dict[str, Any]] = {}
    for state in states:
        more, cursor = True, None
        while more:
            page = await visit.get("/cs/cases", state=state, limit=100, cursor=cursor)
            found |= {case["case_id"]: case for case in page["items"]}
            more, cursor = page["next"] is not None, page["next"]
    return [found[case_id] for case_id in sorted(found)]


@router.get("/cases/{case_id}")
async def case_page(visit: Agent, case_id: UUID, all: str = "") -> Response:
    """The desk with one case, also with one that is over."""
    return await show(visit, case_id, everything=bool(all))


@router.get("/cases/{case_id}/messages")
async def news(visit: Agent, case_id: UUID, after: After = 0) -> Response:
    """The messages behind `after`, as a part of the page."""
    page = await visit.get(f"/cs/cases/{case_id}/messages", after=after, limit=100)
    return visit.page("case_messages.html", messages=page["items"], now=await visit.now())


@router.get("/history")
async def history(visit: Agent, cursor: str = "") -> Response:
    """The present and past cases of this agent, newest first."""
    page = await visit.get("/cs/cases", limit=30, cursor=cursor or None)
    return visit.page("history.html", cases=page["items"], next=page["next"], now=await visit.now())


@router.post("/duty")
async def duty(visit: Agent) -> Response:
    """Goes on duty or off."""
    on = (await visit.form())["on"] == "1"
    notice = "notice.on_duty" if on else "notice.off_duty"
    return await visit.do("PUT", "/cs/duty", {"on": on}, then=f"{visit.root}/", notice=notice)


@router.post("/cases/{case_id}/say")
async def say(visit: Agent, case_id: UUID) -> Response:
    """Answers the buyer."""
    return await speak(visit, f"/cs/cases/{case_id}/messages", f"{visit.root}/cases/{case_id}")


@router.post("/cases/{case_id}/contact")
async def contact(visit: Agent, case_id: UUID) -> Response:
    """Asks the seller; the 24 hours begin (A)."""
    form = await visit.form()
    question = form["question"].strip()
    return await visit.do(
        "POST",
        f"/cs/cases/{case_id}/contact-seller",
        {"question": question} if question else None,
        then=f"{visit.root}/cases/{case_id}",
        notice="notice.contacted",
        key=form.key,
    )


@router.post("/cases/{case_id}/close")
async def close(visit: Agent, case_id: UUID) -> Response:
    """Ends the case."""
    body = {"outcome": (await visit.form())["outcome"]}
    there = f"{visit.root}/cases/{case_id}"
    return await visit.do("POST", f"/cs/cases/{case_id}/close", body, then=there, notice="notice.closed")


async def _panel(visit: Visit, case: dict[str, Any], *, everything: bool) -> dict[str, Any]:
    order = by_pieces(await visit.get(f"/orders/{case['order_id']}")) if case["order_id"] else None
    before = (await visit.get("/cs/cases", buyer_id=case["buyer_id"], limit=20))["items"]
    return {
        "case": case,
        "order": order,
        "over": case["state"] in OVER,
        "before": [one for one in before if one["case_id"] != case["case_id"]],
        **await latest(visit, f"/cs/cases/{case['case_id']}", case["last_seq"], everything),
    }
