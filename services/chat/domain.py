"""The rules of talking about an order. Pure: time and ids come in as arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.orders import OrderLine
from contracts.words import Channel, Fault, OrderStatus
from runtime.errors import Refusal, WrongState

TITLE_LENGTH = 200


class Kind(StrEnum):
    """What a message is: written by a person, the card with directions for cancelling, or said by the system."""

    TEXT = "text"
    GUIDE = "guide"
    SYSTEM = "system"


class Code(StrEnum):
    """What a guide or a system message says, for a page that shows it in its own way."""

    CANCEL_GUIDE = "cancel_guide"
    ORDER_CANCELLED = "order_cancelled"
    CANCEL_REJECTED = "cancel_rejected"
    REFUND_ISSUED = "refund_issued"
    REFUND_DELAYED = "refund_delayed"
    SELLER_CONTACTED = "seller_contacted"
    CASE_CLOSED = "case_closed"


class GuideUnasked(Refusal):
    """M: directions for cancelling answer a buyer's message; a seller does not talk a buyer into it."""

    code, title = "guide_unasked", "A guide answers a message of the buyer"


class AlreadyShipped(Refusal):
    """A: an order that is on its way cannot be cancelled."""

    code, title = "already_shipped", "The order has shipped already"


class AlreadyCancelled(Refusal):
    """There is nothing left to cancel."""

    code, title = "already_cancelled", "The order is cancelled already"


@dataclass(frozen=True)
class Order:
    """What chat has heard of an order. Events of several publishers may come in any order, so anything may be missing
    yet; `placed` says that both people are known."""

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
class Message:
    """One message of a thread; `data` is for a page that shows a guide or a system message in its own way."""

    seq: int
    kind: Kind
    sender_id: UUID | None
    text: str
    code: Code | None
    data: dict[str, str | int] | None
    at: datetime


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
    """Whether the last who spoke is the buyer."""
    guided: bool
    """Whether the seller has sent a guide."""
    thanks_due: bool
    """Whether the order was cancelled by the seller's kindness, and the buyer has said nothing since."""
    pending: UUID | None
    """The cancellation that the seller has asked for and that is not answered yet."""
    active_at: datetime
    status: OrderStatus
    title: str
    buyer_name: str | None
    seller_name: str | None
    last_message: Message | None = None
    pending_reason: str | None = None
    """Why the seller has asked for it, if that was said."""

    @property
    def people(self) -> tuple[UUID, UUID]:
        """Who takes part."""
        return self.buyer_id, self.seller_id

    def unread(self, account_id: UUID) -> int:
        """How many messages one of the two has not seen."""
        if account_id == self.buyer_id:
            return self.last_seq - self.buyer_read
        return self.last_seq - self.seller_read if account_id == self.seller_id else 0


def headline(lines: Sequence[OrderLine]) -> str:
    """What an order is called in a list of threads: its first product, and how many more there are."""
    more = f" +{len(lines) - 1}" if len(lines) > 1 else ""
    return (lines[0].title[: TITLE_LENGTH - len(more)] if lines else "") + more


def check_guide(thread: Thread) -> None:
    """Raises `GuideUnasked` (M: only in answer to the buyer), or `WrongState` when there is nothing to cancel (A)."""
    if not thread.status.cancellable:
        raise WrongState(f"The order is {thread.status}, so it cannot be cancelled.")
    if not thread.asked:
        raise GuideUnasked("Wait for a message of the buyer; one guide answers it.")


def check_cancel(thread: Thread, reason: str | None = None) -> None:
    """Raises `AlreadyCancelled` or `AlreadyShipped`, if that is known here already; `orders` decides in any case.

    Raises `WrongState` if the order's cancelling was asked for with another reason, and is not decided yet.
    """
    if thread.status is OrderStatus.CANCELLED:
        raise AlreadyCancelled("The order is cancelled already.")
    if not thread.status.cancellable:
        raise AlreadyShipped("An order that is on its way cannot be cancelled.")
    if thread.pending is not None and reason not in (None, thread.pending_reason):
        raise WrongState("This was asked for already, with another reason; wait for the answer.")


def owes_thanks(channel: Channel | str, guided: bool) -> bool:
    """A: "jangan lupa untuk meminta maaf … dan berterima kasih", where the seller cancelled, or showed the way."""
    return channel is Channel.CHAT or (guided and channel in (Channel.APP, Channel.WEB))


def was_silent(channel: Channel | str, fault: Fault | str) -> bool:
    """Whether customer service cancelled because the seller did not answer (A)."""
    return channel is Channel.CS and fault is Fault.SELLER
