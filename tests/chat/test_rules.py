"""The rules of talking about an order, without a database."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from contracts.orders import OrderLine, RejectionCode
from contracts.words import Channel, Destination, Fault, OrderStatus
from runtime.errors import WrongState
from services.chat import words
from services.chat.domain import (
    AlreadyCancelled,
    AlreadyShipped,
    GuideUnasked,
    Thread,
    check_cancel,
    check_guide,
    headline,
    owes_thanks,
)

CANCELLABLE = [OrderStatus.UNPAID, OrderStatus.PROCESSING, OrderStatus.PACKED]
GONE = [OrderStatus.SHIPPED, OrderStatus.DELIVERED]


def a_thread(status: OrderStatus = OrderStatus.PROCESSING, *, asked: bool = True) -> Thread:
    """A thread of five messages, of which the buyer has seen two and the seller all."""
    ids: dict[str, Any] = {name: uuid4() for name in ("thread_id", "order_id", "buyer_id", "seller_id")}
    names: dict[str, Any] = {"title": "Kopi", "buyer_name": None, "seller_name": None}
    read: dict[str, Any] = {"last_seq": 5, "buyer_read": 2, "seller_read": 5, "active_at": datetime.now(UTC)}
    return Thread(**ids, **names, **read, status=status, asked=asked, guided=False, thanks_due=False, pending=None)


@pytest.mark.parametrize("status", CANCELLABLE)
def test_a_guide_answers_the_buyer(status: OrderStatus) -> None:
    """M: a seller may send a guide when the buyer spoke last, and not otherwise."""
    check_guide(a_thread(status))
    with pytest.raises(GuideUnasked):
        check_guide(a_thread(status, asked=False))


@pytest.mark.parametrize("status", [*GONE, OrderStatus.CANCELLED])
@pytest.mark.parametrize("asked", [True, False])
def test_no_guide_where_nothing_can_be_cancelled(status: OrderStatus, asked: bool) -> None:
    """A: an order that has shipped or is cancelled needs no directions for cancelling."""
    with pytest.raises(WrongState):
        check_guide(a_thread(status, asked=asked))


def test_a_seller_cancels_until_it_ships() -> None:
    """A: the seller may cancel at any time before the order ships; after that, and after a cancellation, not."""
    for status in CANCELLABLE:
        check_cancel(a_thread(status))
    for status in GONE:
        with pytest.raises(AlreadyShipped):
            check_cancel(a_thread(status))
    with pytest.raises(AlreadyCancelled):
        check_cancel(a_thread(OrderStatus.CANCELLED))


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("channel", list(Channel))
def test_whom_to_thank(channel: Channel, guided: bool) -> None:
    """A: thanks are due to a seller who cancelled or sent a guide, not to one who did not answer customer service."""
    helped = {(Channel.CHAT, False), (Channel.CHAT, True), (Channel.APP, True), (Channel.WEB, True)}
    assert owes_thanks(channel, guided) is ((channel, guided) in helped)


def test_unread_is_what_came_after_the_last_that_was_seen() -> None:
    """Each member has an unread count of their own; other accounts have none."""
    thread = a_thread()
    assert [thread.unread(account_id) for account_id in (thread.buyer_id, thread.seller_id, uuid4())] == [3, 0, 0]


def test_statuses_go_up_in_rank() -> None:
    """A late event cannot take an order back to an earlier status, and no status follows cancelled."""
    ranks = [status.rank for status in (*CANCELLABLE, *GONE, OrderStatus.CANCELLED)]
    assert ranks == sorted(set(ranks))


@pytest.mark.parametrize(("count", "title"), [(1, "Kopi"), (2, "Kopi +1"), (12, "Kopi +11")])
def test_an_order_is_called_by_its_first_product(count: int, title: str) -> None:
    """The list of threads names the first product and how many more there are."""
    line = OrderLine(product_id=uuid4(), title="Kopi", quantity=1, unit_price=1)
    assert headline([line] * count) == title
    long = line.model_copy(update={"title": "x" * 500})
    assert len(headline([long] * count)) == 200


def test_the_system_speaks_indonesian() -> None:
    """There are words for every channel, rejection and destination, and amounts are written as in Indonesia."""
    assert len({words.cancelled(channel, Fault.BUYER) for channel in Channel}) == len(Channel)
    assert "tidak menjawab" in words.cancelled(Channel.CS, Fault.SELLER)
    assert "tidak menjawab" not in words.cancelled(Channel.CS, Fault.PLATFORM)
    assert {code.value for code in RejectionCode} == words.REJECTIONS.keys()
    assert all(words.rejected(code) for code in RejectionCode)
    assert "Rp1.234.567" in words.refund_issued(1_234_567, Destination.DANA)
    asked = words.seller_contacted("Sudah?", datetime(2026, 3, 1, 20, 5, tzinfo=UTC))
    assert "02-03-2026 03.05 WIB" in asked


def test_every_quick_reply_apologises_and_thanks() -> None:
    """A: "jangan lupa untuk meminta maaf … dan berterima kasih", in both languages."""
    for reply in words.QUICK_REPLIES:
        assert "maaf" in reply.id.lower()
        assert "terima kasih" in reply.id.lower()
        assert any(word in reply.en.lower() for word in ("sorry", "apolog"))
        assert "thank" in reply.en.lower()
    assert len({reply.code for reply in words.QUICK_REPLIES}) == len(words.QUICK_REPLIES)
