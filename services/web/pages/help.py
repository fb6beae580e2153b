"""Help, and the live chat with customer service, for buyers."""

from uuid import UUID

from fastapi import APIRouter, Response

from runtime.numbers import whole
from services.web.pages.chat import latest, speak
from services.web.pages.orders import await_replication
from services.web.upstream import Refused
from services.web.visits import After, Buyer, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

OVER = ("resolved", "closed")
CANCELLABLE = ("unpaid", "processing", "packed")


@router.get("/help")
async def help_page(visit: Buyer) -> Response:
    """Answers, and the way to an agent."""
    return await _show_help(visit)


async def _show_help(visit: Visit, refused: str = "", typed: str = "") -> Response:
    cases = (await visit.get("/cs/cases", limit=20))["items"]
    opened = next((case for case in cases if case["state"] not in OVER), None)
    past = [case for case in cases if case["state"] in OVER]
    return visit.page("help.html", 409 if refused else 200, opened=opened, past=past, refused=refused, typed=typed)


@router.post("/help")
async def ask(visit: Buyer) -> Response:
    """Opens a case."""
    form = await visit.form()
    try:
        case = await visit.send("POST", "/cs/cases", {"text": form["text"]}, form.key)
    except Refused as refused:
        return await _show_help(visit, refused.code, form["text"])
    return visit.go(f"{visit.root}/help/{case['case_id']}")


@router.get("/help/{case_id}")
async def case_page(visit: Buyer, case_id: UUID, all: str = "") -> Response:
    """The live chat: the position in the queue, and then the conversation."""
    case = await visit.get(f"/cs/cases/{case_id}")
    orders = await visit.get("/orders", limit=50)
    return visit.page(
        "case.html",
        case=case,
        orders=[order for order in orders["items"] if order["status"] in CANCELLABLE],
        now=await visit.now(),
        over=case["state"] in OVER,
        **await latest(visit, f"/cs/cases/{case_id}", case["last_seq"], all),
    )


@router.get("/help/{case_id}/messages")
async def news(visit: Buyer, case_id: UUID, after: After = 0) -> Response:
    """The messages behind `after`, as a part of the page."""
    page = await visit.get(f"/cs/cases/{case_id}/messages", after=after, limit=100)
    return visit.page("case_messages.html", messages=page["items"], now=await visit.now())


@router.post("/help/{case_id}/say")
async def say(visit: Buyer, case_id: UUID) -> Response:
    """Sends a message."""
    return await speak(visit, f"/cs/cases/{case_id}/messages", f"{visit.root}/help/{case_id}")


@router.post("/help/{case_id}/order")
async def share_order(visit: Buyer, case_id: UUID) -> Response:
    """Shares an order with customer service (A)."""
    body = {"order_id": (await visit.form())["order_id"]}
    there = f"{visit.root}/help/{case_id}"
    try:
        await await_replication(visit, f"/cs/cases/{case_id}/order", body)
    except Refused as refused:
        return visit.go(there, f"error.{refused.code}")
    return visit.go(there)


@router.post("/help/{case_id}/rate")
async def rate(visit: Buyer, case_id: UUID) -> Response:
    """Rates the case, 1 to 5."""
    body = {"rating": whole((await visit.form())["rating"])}
    there = f"{visit.root}/help/{case_id}"
    return await visit.do("POST", f"/cs/cases/{case_id}/rate", body, then=there, notice="notice.rated")
