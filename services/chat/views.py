"""How threads and messages look from outside, and the frames in which they go to who is connected."""

import json
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from contracts.words import OrderStatus
from runtime.http.auth import Identity
from services.chat.domain import Code, Kind, Message, Thread
from services.chat.words import QUICK_REPLIES, QuickReply


class MessageView(BaseModel):
    """A message. `code` and `data` are for showing a guide or a system message in another way than as its text."""

    seq: int
    kind: Kind
    sender_id: UUID | None
    text: str
    code: Code | None
    data: dict[str, str | int] | None
    at: datetime


class ThreadView(BaseModel):
    """A thread, as one of its two people sees it; agents have nothing unread."""

    thread_id: UUID
    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    buyer_name: str | None
    seller_name: str | None
    title: str
    order_status: OrderStatus
    unread: int
    last_seq: int
    last_message: MessageView | None
    active_at: datetime
    pending_cancellation: UUID | None
    """The cancellation that the seller has asked for and that is not decided yet."""
    quick_replies: list[QuickReply]
    """What the buyer is offered to say with one tap."""
    online: bool
    """Whether the other one is connected; for an agent, whether the seller is."""


class ThreadPage(BaseModel):
    """Threads; `next` goes into `?cursor=` for those behind them, null at the end."""

    items: list[ThreadView]
    next: str | None


class MessagePage(BaseModel):
    """Messages in their order; `next` goes into `?after=` for those behind them, null when there are none now."""

    items: list[MessageView]
    next: int | None
    quick_replies: list[QuickReply]


class ReadView(BaseModel):
    """What somebody has not seen of a thread."""

    thread_id: UUID
    last_seq: int
    unread: int


class Requested(BaseModel):
    """A cancellation that was asked for; the thread shows what becomes of it."""

    cancellation_id: UUID
    status: str = "requested"


def quick_replies(thread: Thread, account_id: UUID) -> list[QuickReply]:
    """What somebody is offered to say with one tap: the buyer, and only when there is something to thank for."""
    return QUICK_REPLIES if thread.thanks_due and account_id == thread.buyer_id else []


def message_view(message: Message) -> MessageView:
    """The view of a message."""
    return MessageView(**vars(message))


def other_than(thread: Thread, account_id: UUID) -> UUID:
    """Whose presence is of interest to somebody."""
    return thread.buyer_id if account_id == thread.seller_id else thread.seller_id


def show_thread(thread: Thread, account_id: UUID, online: bool) -> ThreadView:
    """The thread, as somebody sees it."""
    return ThreadView(
        thread_id=thread.thread_id,
        order_id=thread.order_id,
        buyer_id=thread.buyer_id,
        seller_id=thread.seller_id,
        buyer_name=thread.buyer_name,
        seller_name=thread.seller_name,
        title=thread.title,
        order_status=thread.status,
        unread=thread.unread(account_id),
        last_seq=thread.last_seq,
        last_message=message_view(thread.last_message) if thread.last_message else None,
        active_at=thread.active_at,
        pending_cancellation=thread.pending,
        quick_replies=quick_replies(thread, account_id),
        online=online,
    )


def may_read(thread: Thread | None, person: Identity) -> bool:
    """Whether the thread is somebody's own, or they are an agent."""
    return thread is not None and (person.role == "agent" or person.account_id in thread.people)


def message_frame(thread_id: UUID, message: MessageView) -> str:
    """The frame of a message, the same for everybody."""
    return f'{{"type":"message","thread_id":"{thread_id}","message":{message.model_dump_json()}}}'


def thread_frame(thread: Thread, account_id: UUID) -> str:
    """The frame of a thread, as somebody sees it. Presence has a frame of its own."""
    view = show_thread(thread, account_id, online=False).model_dump(mode="json", exclude={"online"})
    return json.dumps({"type": "thread", **view}, ensure_ascii=False)


def unread_frame(thread_id: UUID, last_seq: int, unread: int) -> str:
    """The frame that changes no more of a thread than what is unread."""
    told = {"type": "thread", "thread_id": str(thread_id), "last_seq": last_seq, "unread": unread}
    return json.dumps(told)
