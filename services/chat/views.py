"""Threads and messages as the interface shows them, and the frames in which they are sent."""

import json
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, RootModel

from contracts.words import OrderStatus
from runtime.http.auth import Identity
from services.chat.domain import Demand, Message, Thread
from services.chat.words import QUICK_REPLIES, QuickReply


class MessageView(RootModel[Message]):
    """A message. A client may show a guide or a system message by `code` and `data` instead of its text."""


class ThreadView(BaseModel):
    """A thread, as one account sees it; agents have nothing unread."""

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
    last_message: Message | None
    active_at: datetime
    pending_cancellation: UUID | None
    """The cancellation that the seller has requested and `orders` has not decided."""
    demand: Demand | None
    """What customer service asks the seller, until the seller answers here or the case ends. Packing and shipping
    answer it, too; the order shows them."""
    quick_replies: list[QuickReply]
    """Replies that the buyer can send with one tap."""
    online: bool
    """Whether the other member is connected; for an agent, whether the seller is."""


class ThreadPage(BaseModel):
    """Threads; `next` is the `?cursor=` of the next page, null at the end."""

    items: list[ThreadView]
    next: str | None


class MessagePage(BaseModel):
    """Messages in their order; `next` is the `?after=` of the next page, null when there is none now."""

    items: list[Message]
    next: int | None
    quick_replies: list[QuickReply]


class ReadView(BaseModel):
    """How many messages of a thread the account has not read."""

    thread_id: UUID
    last_seq: int
    unread: int


class Requested(BaseModel):
    """A cancellation that was requested; the thread shows the decision."""

    cancellation_id: UUID
    status: str = "requested"


def quick_replies(thread: Thread, account_id: UUID) -> list[QuickReply]:
    """The replies that an account can send with one tap: for the buyer, when there is something to thank for."""
    return QUICK_REPLIES if thread.thanks_due and account_id == thread.buyer_id else []


def other_than(thread: Thread, account_id: UUID) -> UUID:
    """The member whose presence the account is shown: the other one; for an agent, the seller."""
    return thread.buyer_id if account_id == thread.seller_id else thread.seller_id


def show_thread(thread: Thread, account_id: UUID, online: bool) -> ThreadView:
    """The thread, as one account sees it."""
    return ThreadView(
        **vars(thread),
        order_status=thread.status,
        unread=thread.unread(account_id),
        pending_cancellation=thread.pending,
        quick_replies=quick_replies(thread, account_id),
        online=online,
    )


def may_read(thread: Thread | None, person: Identity) -> bool:
    """Whether the person is a member of the thread, or an agent."""
    return thread is not None and (person.role == "agent" or person.account_id in thread.members)


def message_frame(thread_id: UUID, message: Message) -> str:
    """The frame of a message, the same for all readers."""
    return f'{{"type":"message","thread_id":"{thread_id}","message":{MessageView(message).model_dump_json()}}}'


def thread_frame(thread: Thread, account_id: UUID) -> str:
    """The frame of a thread, as one account sees it. Presence has a frame of its own."""
    view = show_thread(thread, account_id, online=False).model_dump(mode="json", exclude={"online"})
    return json.dumps({"type": "thread", **view}, ensure_ascii=False)


def unread_frame(thread_id: UUID, last_seq: int, unread: int) -> str:
    """The frame that changes only the unread count of a thread."""
    return json.dumps({"type": "thread", "thread_id": str(thread_id), "last_seq": last_seq, "unread": unread})
