"""Chat about orders: the inbox, a conversation, and the seller's actions in it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from services.web.pages.demands import demands, is_open
from services.web.pieces import NoPieces, by_pieces, chosen
from services.web.upstream import Refused
from services.web.visits import After, BuyerOrSeller, Form, Seller, Visit
from services.web.words import knows, pattern

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

SHOWN = 100
"""Messages that a page is loaded with, the newest; older ones on request."""


@router.get("/chat")
async def inbox(visit: BuyerOrSeller, cursor: str = "") -> Response:
    """The conversations, those with unread messages first."""
    page = await visit.get("/chat/threads", limit=30, cursor=cursor or None)
    now = await visit.now()
    asked = await demands(visit, now) if visit.person.role == "seller" else []
    return visit.page("inbox.html", threads=page["items"], next=page["next"], demands=asked, now=now)


@router.get("/chat/{thread_id}")
async def conversation(visit: BuyerOrSeller, thread_id: UUID, all: str = "") -> Response:
    """One conversation, with its latest messages, or `all` of them."""
    return await _show(visit, thread_id, everything=all)


@router.get("/chat/{thread_id}/cancel")
async def ask(visit: Seller, thread_id: UUID) -> Response:
    """The conversation with the cancel dialog open."""
    return await _show(visit, thread_id, asking=True)


async def _show(
    visit: Visit,
    thread_id: UUID,
    *,
    everything: str = "",
    asking: bool = False,
    refused: str = "",
    typed: Form | None = None,
) -> Response:
    """The conversation; with its cancel dialog if the seller is `asking`, or may try again what was `refused`."""
    thread = await visit.get(f"/chat/threads/{thread_id}")
    selling = visit.person.role == "seller"
    shown = await latest(visit, f"/chat/threads/{thread_id}", thread["last_seq"], everything)
    order = by_pieces(await visit.get(f"/orders/{thread['order_id']}")) if selling else None
    now = await visit.now()
    return visit.page(
        "conversation.html",
        409 if refused else 200,
        thread=thread,
        cancellable=await _cancellable(visit, thread, shown["messages"]),
        score=await _at_stake(visit, order) if order else None,
        order=order,
        demanded=order is not None and is_open(thread, order, now),
        typed=typed or Form(),
        refused=refused,
        asking=asking or bool(refused),
        now=now,
        **shown,
    )


async def _at_stake(visit: Visit, order: dict[str, Any]) -> dict[str, Any]:
    """The seller's score, and what is left of it after cancelling this order: one that is not paid does not count."""
    counts = order["paid_amount"] or order["payment_method"] == "cod"
    path = f"/orders/sellers/{visit.person.account_id}/score"
    found: dict[str, Any] = await visit.get(path, pieces=order["left"] if counts else 0)
    return found


@router.get("/chat/{thread_id}/messages")
async def news(visit: BuyerOrSeller, thread_id: UUID, after: After = 0) -> Response:
    """The messages behind `after`, as a part of the page."""
    thread = await visit.get(f"/chat/threads/{thread_id}")
    page = await visit.get(f"/chat/threads/{thread_id}/messages", after=after, limit=100)
    cancellable = await _cancellable(visit, thread, page["items"])
    return visit.page(
        "chat_messages.html", messages=page["items"], thread=thread, cancellable=cancellable, now=await visit.now()
    )


async def _cancellable(visit: Visit, thread: dict[str, Any], messages: Sequence[Mapping[str, object]]) -> bool:
    """Whether a guide among the messages can lead to cancelling."""
    if visit.person.role != "buyer" or not any(message["kind"] == "guide" for message in messages):
        return False
    allowed: bool = (await visit.get(f"/orders/{thread['order_id']}"))["cancellation"]["allowed"]
    return allowed


@router.post("/chat/{thread_id}/say")
async def say(visit: BuyerOrSeller, thread_id: UUID) -> Response:
    """Sends a message; a script gets 204, or the reason of the refusal, and reads the new messages."""
    return await speak(visit, f"/chat/threads/{thread_id}/messages", f"{visit.root}/chat/{thread_id}")


@router.post("/chat/{thread_id}/guide")
async def guide(visit: Seller, thread_id: UUID) -> Response:
    """Sends the card that opens the cancel dialog of this order."""
    key = (await visit.form()).key
    return await visit.do("POST", f"/chat/threads/{thread_id}/guide", then=f"{visit.root}/chat/{thread_id}", key=key)


@router.post("/chat/{thread_id}/cancel")
async def cancel(visit: Seller, thread_id: UUID) -> Response:
    """The seller cancels the order or some of its pieces, which lowers the score."""
    form = await visit.form()
    body: dict[str, Any] = {"reason": reason} if (reason := form["reason"].strip()) else {}
    try:
        if lines := chosen(form):
            body["lines"] = lines
        await visit.send("POST", f"/chat/threads/{thread_id}/cancel", body or None, form.key if lines else None)
    except (NoPieces, Refused) as refused:
        return await _show(visit, thread_id, refused=refused.code, typed=form)
    return visit.go(f"{visit.root}/chat/{thread_id}", "notice.asked")


async def latest(visit: Visit, conversation: str, last_seq: int, everything: object) -> dict[str, Any]:
    """The latest messages of a conversation, or all, and whether there are earlier ones."""
    messages: list[dict[str, object]] = []
    after = 0 if everything else max(0, last_seq - SHOWN)
    seq: int | None = after
    while seq is not None:
        page = await visit.get(f"{conversation}/messages", after=seq, limit=100)
        messages += page["items"]
        seq = page["next"]
    return {"messages": messages, "earlier": after > 0}


async def speak(visit: Visit, path: str, then: str) -> Response:
    """Posts the typed text; a plain form is redirected to `then`, a script shows the reason of a refusal."""
    form = await visit.form()
    scripted = "text/html" not in visit.request.headers.get("accept", "")
    try:
        await visit.send("POST", path, {"text": form["text"]}, form.key)
    except Refused as refused:
        reason = f"error.{refused.code}"
        if scripted:
            return PlainTextResponse(
                pattern(visit.language, reason if knows(reason) else "error.other"), refused.status
            )
        return visit.go(then, reason)
    return Response(status_code=204) if scripted else visit.go(then)
