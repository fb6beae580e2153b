"""The rules of a conversation about an order. Pure: time and ids come in as arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts.orders import OrderLine, Pieces
from contracts.words import Channel, Fault, Open, OrderStatus
from runtime.errors import Refusal, WrongState

TITLE_LENGTH = 200
STATUSES = tuple(OrderStatus)
"""By rank."""


class Kind(StrEnum):
    """A message is written by a person, a card with directions for cancelling, or a message of the system."""

    TEXT = "text"
    GUIDE = "guide"
    SYSTEM = "system"


class Code(StrEnum):
    """The meaning of a guide or a system message, for a client that shows it in its own way."""

    CANCEL_GUIDE = "cancel_guide"
    ORDER_CANCELLED = "order_cancelled"
    ITEMS_CANCELLED = "items_cancelled"
    CANCEL_REJECTED = "cancel_rejected"
    REFUND_ISSUED = "refund_issued"
    REFUND_DELAYED = "refund_delayed"
    SELLER_CONTACTED = "seller_contacted"
    CASE_CLOSED = "case_closed"


class GuideUnasked(Refusal):
    """M: a guide answers a buyer's message; a seller may not suggest cancelling unasked."""

    code, title = "guide_unasked", "A guide answers a message of the buyer"


class AlreadyShipped(Refusal):
    """A: an order that is on its way cannot be cancelled."""

    code, title = "already_shipped", "The order has shipped already"


class AlreadyCancelled(Refusal):
    """There is nothing left to cancel."""

    code, title = "already_cancelled", "The order is cancelled already"


@dataclass(frozen=True)
class Order:
    """An order, as far as `chat` knows it. Events of several publishers arrive in any order, so each field may be
    missing; once the order is `placed`, both members are known."""

    order_id: UUID
    buyer_id: UUID | None
    seller_id: UUID | None
    title: str | None
    status: OrderStatus

    @property
    def placed(self) -> bool:
        """Whether its two people can talk about it."""
        return self.title is not None


@dataclass(frozen=True)
class Draft:
    """What a message says; `data` is for a client that shows a guide or a system message in its own way."""

    kind: Open[Kind]
    sender_id: UUID | None
    text: str
    code: Open[Code] | None = None
    data: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Message(Draft):
    """One message of a thread, with its number."""

    seq: int
    at: datetime


@dataclass(frozen=True)
class Demand:
    """A question of customer service that the seller has not answered in the thread. Without an answer, and without
    packing or shipping, the order is cancelled at `respond_by` (A)."""

    case_id: UUID
    question: str
    respond_by: datetime


@dataclass(frozen=True)
class Thread:
    """The conversation between the buyer and the seller about one order."""

    thread_id: UUID
    order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    last_seq: int
    buyer_read: int
    seller_read: int
    asked: bool
    """Whether the last message of a person is the buyer's."""
    guided: bool
    """Whether the seller has sent a guide."""
    thanks_due: bool
    """Whether the seller helped to cancel the order, and the buyer has written nothing since."""
    pending: UUID | None
    """The cancellation that the seller has requested and `orders` has not answered."""
    active_at: datetime
    status: OrderStatus
    title: str
    buyer_name: str | None
    seller_name: str | None
    last_message: Message | None = None
    pending_reason: str | None = None
    """The seller's reason for it, if there is one."""
    pending_lines: tuple[Pieces, ...] | None = None
    """The pieces to cancel; None: all that are left."""
    demand: Demand | None = None
    """The most urgent of them."""

    @property
    def members(self) -> tuple[UUID, UUID]:
        """The accounts of the buyer and the seller."""
        return self.buyer_id, self.seller_id

    def unread(self, account_id: UUID) -> int:
        """How many messages a member has not read; 0 for other accounts."""
        if account_id == self.buyer_id:
            return self.last_seq - self.buyer_read
        return self.last_seq - self.seller_read if account_id == self.seller_id else 0


def headline(lines: Sequence[OrderLine]) -> str:
    """An order's title in a list of threads: its first product, and how many more there are."""
    more = f" +{len(lines) - 1}" if len(lines) > 1 else ""
    return (lines[0].title[: TITLE_LENGTH - len(more)] if lines else "") + more


def check_guide(thread: Thread) -> None:
    """Raises `GuideUnasked` (M: only in answer to the buyer), or `WrongState` when there is nothing to cancel (A)."""
    if not thread.status.cancellable:
        raise WrongState(f"The order is {thread.status}, so it cannot be cancelled.")
    if not thread.asked:
        raise GuideUnasked("Wait for a message of the buyer. One guide answers it.")


def check_cancel(thread: Thread, reason: str | None = None, lines: Sequence[Pieces] | None = None) -> None:
    """Raises `AlreadyCancelled` or `AlreadyShipped`, if `chat` knows that already; `orders` decides in any case.

    Raises `WrongState` while `orders` has not decided on another request: of some pieces, or for another reason.
    """
    if thread.status is OrderStatus.CANCELLED:
        raise AlreadyCancelled("The order is cancelled already.")
    if not thread.status.cancellable:
        raise AlreadyShipped("An order that is on its way cannot be cancelled.")
    of_all = lines is None and thread.pending_lines is None
    if thread.pending is not None and not (of_all and reason in (None, thread.pending_reason)):
        raise WrongState("Another cancellation was requested already. Wait for the answer.")


def owes_thanks(channel: Channel | str, guided: bool) -> bool:
    """A: "jangan lupa untuk meminta maaf … dan berterima kasih", where the seller cancelled or sent a guide."""
    return channel is Channel.CHAT or (guided and channel in (Channel.APP, Channel.WEB))


def was_silent(channel: Channel | str, fault: Fault | str) -> bool:
    """Whether customer service cancelled because the seller did not answer (A)."""
    return channel is Channel.CS and fault is Fault.SELLER
