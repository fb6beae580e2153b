"""Parts of an order in its thread: which pieces are cancelled, the seller's request, and the money of each part."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.words import Fault
from tests.harness.actors import assert_problem
from tests.harness.chat import ChatHarness, Conversation
from tests.harness.deals import PRICE

REQUESTED = "OrderCancelRequested"


def a_piece(conversation: Conversation, quantity: int = 1) -> dict[str, Any]:
    """The body of a request to cancel so many pieces."""
    return {"lines": [{"product_id": str(conversation.product_id), "quantity": quantity}]}


async def ask(conversation: Conversation, key: str, **more: Any) -> str:
    """The seller requests a piece under a key; returns the cancellation's id."""
    answer = await conversation.seller.ask("POST", f"{conversation.path}/cancel", a_piece(conversation) | more, key)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["cancellation_id"])


async def test_the_thread_shows_which_pieces_are_cancelled(harness: ChatHarness, conversation: Conversation) -> None:
    """The thread names the pieces and the amount once, however often it is published; the order stays open."""
    part = conversation.items_cancelled("app", quantity=2)
    await harness.deliver(part, part)
    [shown] = await conversation.messages()
    line = {"product_id": str(conversation.product_id), "title": "Kemeja batik", "quantity": 2}
    assert (shown["kind"], shown["code"]) == ("system", "items_cancelled")
    assert shown["data"] == {
        "order_id": str(part.order_id),
        "cancellation_id": str(part.cancellation_id),
        "channel": "app",
        "fault": "buyer",
        "lines": [line],
        "refund_amount": 2 * PRICE // 3,
    }
    assert shown["text"] == (
        "Dibatalkan oleh pembeli melalui aplikasi: 2 × Kemeja batik. Sisa pesanan tetap berlaku. "
        "Dana Rp126.000 dikembalikan."
    )
    assert (await conversation.seen())["order_status"] == "processing"


async def test_pieces_of_an_order_that_is_not_known_yet(harness: ChatHarness) -> None:
    """A part that arrives before `OrderPlaced` is kept; it has no thread to be shown in, and its refund has."""
    deal = harness.deal()
    part = deal.items_cancelled()
    await harness.deliver(part, deal.placed())
    conversation = await harness.about(deal)
    await harness.deliver(deal.refunded(uuid4(), cancellation_id=part.cancellation_id))
    assert await conversation.codes() == ["refund_issued"]


async def test_the_seller_cancels_pieces(harness: ChatHarness, conversation: Conversation) -> None:
    """The same key is the same cancellation, before and after the decision; the request has the pieces, and is repeated
    with them."""
    asked = await ask(conversation, "one", reason="Stok habis")
    assert await ask(conversation, "one", reason="Stok habis") == asked
    order_id = str(conversation.order_id)
    first = await harness.recorder.wait_for(order_id, REQUESTED)
    assert first["data"].items() >= {"cancellation_id": asked, "reason": "Stok habis", **a_piece(conversation)}.items()
    await harness.fetch("update deadlines set due_at = clock_now() where subject = $1", conversation.thread_id)
    assert (await harness.recorder.wait_for(order_id, REQUESTED, times=2))["data"] == first["data"]
    await harness.deliver(conversation.items_cancelled("chat", UUID(asked)))
    seen = await conversation.seen()
    assert (seen["pending_cancellation"], seen["order_status"]) == (None, "processing")
    assert seen["quick_replies"]
    assert await harness.fetch("select from deadlines where subject = $1", conversation.thread_id) == []
    assert await ask(conversation, "one", reason="Stok habis") == asked
    assert await ask(conversation, "two") != asked


async def test_the_last_pieces_end_the_order(harness: ChatHarness, conversation: Conversation) -> None:
    """A request of pieces that is answered by `OrderCancelled` is decided, too."""
    asked = await ask(conversation, "one")
    await harness.deliver(conversation.cancelled("chat", UUID(asked)))
    seen = await conversation.seen()
    assert (seen["pending_cancellation"], seen["order_status"]) == (None, "cancelled")


async def test_pieces_need_a_key(harness: ChatHarness, conversation: Conversation) -> None:
    """Without a key nothing is requested: asking twice would cancel a second piece."""
    answer = await conversation.seller.ask("POST", f"{conversation.path}/cancel", a_piece(conversation))
    assert_problem(answer, 422, "idempotency_key_required")
    reused = [await conversation.seller.ask("POST", f"{conversation.path}/cancel", body, "one") for body in
              (a_piece(conversation), a_piece(conversation, 2))]  # fmt: skip
    assert_problem(reused[1], 422, "idempotency_key_reused")


@pytest.mark.parametrize("lines", [[], [{"product_id": str(uuid4()), "quantity": 0}], [{"quantity": 1}], "all"])
async def test_lines_are_pieces(conversation: Conversation, lines: Any) -> None:
    """An empty list, no piece, and no product are refused."""
    answer = await conversation.seller.ask("POST", f"{conversation.path}/cancel", {"lines": lines}, "one")
    assert_problem(answer, 422, "invalid_request")


async def test_one_request_at_a_time(harness: ChatHarness, conversation: Conversation) -> None:
    """While a request is open, one of other pieces or of all that are left is refused; after a rejection it is not."""
    asked = await ask(conversation, "one")
    for body, key in ((a_piece(conversation), "two"), (None, None), ({"reason": "Stok habis"}, "three")):
        answer = await conversation.seller.ask("POST", f"{conversation.path}/cancel", body, key)
        assert_problem(answer, 409, "wrong_state")
    await harness.deliver(conversation.rejected(asked, "not_enough_left"))
    [shown] = await conversation.messages()
    assert (shown["code"], shown["data"]["rejection"]) == ("cancel_rejected", "not_enough_left")
    whole = await conversation.cancel()
    answer = await conversation.seller.ask("POST", f"{conversation.path}/cancel", a_piece(conversation), "two")
    assert_problem(answer, 409, "wrong_state")
    request = await harness.recorder.wait_for(str(conversation.order_id), REQUESTED, times=2)
    assert (request["data"]["cancellation_id"], request["data"]["lines"]) == (whole, None)


async def test_each_part_has_its_money(harness: ChatHarness, conversation: Conversation) -> None:
    """The refund of a part is shown while the order is open, once the part is; that of another part is not yet."""
    first, second = conversation.items_cancelled(), conversation.items_cancelled("chat")
    refunds = uuid4(), uuid4()
    late = conversation.delayed(refunds[0], cancellation_id=first.cancellation_id)
    await harness.deliver(
        late, conversation.refunded(refunds[1], cancellation_id=second.cancellation_id), first, late, late
    )
    assert await conversation.codes() == ["items_cancelled", "refund_delayed"]
    await harness.deliver(conversation.refunded(refunds[0], "dana", first.cancellation_id), second)
    shown = await conversation.messages()
    codes = ["items_cancelled", "refund_delayed", "refund_issued", "items_cancelled", "refund_issued"]
    assert [message["code"] for message in shown] == codes
    issued = [message["data"]["refund_id"] for message in shown if message["code"] == "refund_issued"]
    assert issued == list(map(str, refunds))


async def test_a_late_refund_of_an_earlier_version(harness: ChatHarness, conversation: Conversation) -> None:
    """A delay that names no cancellation is shown once the order is cancelled."""
    await harness.deliver(conversation.items_cancelled(), conversation.delayed(uuid4()))
    assert await conversation.codes() == ["items_cancelled"]
    await harness.deliver(conversation.cancelled())
    assert await conversation.codes() == ["items_cancelled", "order_cancelled", "refund_delayed"]


async def test_the_thread_shows_that_an_order_was_not_shipped_in_time(
    harness: ChatHarness, conversation: Conversation
) -> None:
    """The thread shows the automatic cancellation with its reason, and offers no apology."""
    await harness.deliver(conversation.cancelled("system", fault=Fault.SELLER))
    [shown] = await conversation.messages()
    assert shown["text"] == "Pesanan dibatalkan otomatis karena tidak dikirim sampai batas waktunya."
    assert (await conversation.seen())["quick_replies"] == []


async def test_words_of_parts_that_were_added_later(harness: ChatHarness, conversation: Conversation) -> None:
    """A channel of a later version parks nothing."""
    later = {"channel": "kiosk", "fault": "weather", "refund_amount": 0}
    await harness.deliver(conversation.items_cancelled().model_copy(update=later))
    [shown] = await conversation.messages()
    assert shown["text"] == "Dibatalkan: 1 × Kemeja batik. Sisa pesanan tetap berlaku."
    assert shown["data"]["channel"] == "kiosk"
