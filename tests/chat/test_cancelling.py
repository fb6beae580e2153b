"""Cancelling in the thread: the guide, the seller's own cancellation, and what the thread shows of both."""

from uuid import UUID, uuid4

import pytest

from contracts.orders import RejectionCode
from contracts.words import Fault
from services.chat import asking
from tests.harness.actors import assert_problem
from tests.harness.chat import ChatHarness, Conversation
from tests.harness.deals import PRICE

REQUESTED = "OrderCancelRequested"


async def test_a_guide_answers_a_message_of_the_buyer(conversation: Conversation) -> None:
    """M: unasked 409; once the buyer has written, one guide; then the buyer must write again."""
    await conversation.refuses("guide", "guide_unasked")
    await conversation.write(conversation.buyer, "Bagaimana cara membatalkan?")
    guide = await conversation.guide()
    assert (guide["kind"], guide["code"]) == ("guide", "cancel_guide")
    assert guide["sender_id"] == str(conversation.seller.account_id)
    assert guide["data"] == {"order_id": str(conversation.order_id)}
    await conversation.refuses("guide", "guide_unasked")
    await conversation.write(conversation.buyer)
    await conversation.write(conversation.seller, "Halo, Kak.")
    await conversation.guide()
    await conversation.refuses("guide", "guide_unasked")


async def test_the_system_does_not_ask_for_a_guide(harness: ChatHarness, conversation: Conversation) -> None:
    """A message of the system neither makes a guide possible nor takes the possibility away."""
    await harness.deliver(conversation.contacted(uuid4()))
    await conversation.refuses("guide", "guide_unasked")
    await conversation.write(conversation.buyer)
    await harness.deliver(conversation.contacted(uuid4()))
    await conversation.guide()


@pytest.mark.parametrize(("status", "possible"), [("unpaid", True), ("packed", True), ("shipped", False)])
async def test_an_order_that_has_shipped_needs_no_guide(harness: ChatHarness, status: str, possible: bool) -> None:
    """A: the guide can be sent until the order ships."""
    conversation = await harness.conversation(status)
    await conversation.write(conversation.buyer)
    if possible:
        await conversation.guide()
    else:
        await conversation.refuses("guide", "wrong_state")


async def test_the_seller_cancels(harness: ChatHarness, conversation: Conversation) -> None:
    """A repeated request of the seller is published once; the thread shows that `orders` grants it. While it is
    undecided, the same reason, or none, is the same request; another reason is refused."""
    asked = await conversation.seller.post(f"{conversation.path}/cancel", {"reason": "Stok habis"}, 202)
    assert asked["status"] == "requested"
    for again in (None, {"reason": "Stok habis"}):
        assert await conversation.seller.post(f"{conversation.path}/cancel", again, 202) == asked
    await conversation.refuses("cancel", "wrong_state", {"reason": "Salah harga"})
    assert (await conversation.seen())["pending_cancellation"] == asked["cancellation_id"]
    order_id = str(conversation.order_id)
    assert (await harness.recorder.wait_for(order_id, REQUESTED))["data"] == {
        "cancellation_id": asked["cancellation_id"],
        "order_id": order_id,
        "channel": "chat",
        "requested_by": str(conversation.seller.account_id),
        "role": "seller",
        "reason": "Stok habis",
        "note": None,
        "lines": None,
        "respond_by": None,
    }
    await harness.deliver(conversation.cancelled("chat", UUID(asked["cancellation_id"])))
    [shown] = await conversation.messages()
    assert (shown["kind"], shown["code"], shown["sender_id"]) == ("system", "order_cancelled", None)
    assert shown["data"]["channel"] == "chat"
    assert shown["data"]["cancellation_id"] == asked["cancellation_id"]
    thread = await conversation.seen()
    assert (thread["order_status"], thread["pending_cancellation"]) == ("cancelled", None)
    await conversation.refuses("cancel", "already_cancelled")
    assert harness.recorder.names(order_id).count(REQUESTED) == 1


async def test_a_request_needs_no_reason(harness: ChatHarness, conversation: Conversation) -> None:
    """An empty reason is no reason."""
    await conversation.cancel("  ")
    assert (await harness.recorder.wait_for(str(conversation.order_id), REQUESTED))["data"]["reason"] is None


async def test_an_unanswered_request_is_published_again(harness: ChatHarness, conversation: Conversation) -> None:
    """The same request after growing pauses, in case it or its answer was lost; no more once it is answered. A second
    answer has no second effect."""
    asked = await conversation.cancel("Stok habis")
    order_id, thread_id = str(conversation.order_id), conversation.thread_id
    for times in (2, 3):
        due = "update deadlines set due_at = clock_now() where subject = $1 and kind = 'ask_again'"
        await harness.fetch(due, thread_id)
        await harness.recorder.wait_for(order_id, REQUESTED, times=times)
    first, *others = [one for one in harness.recorder.about(order_id) if one["type"] == REQUESTED]
    assert all(one["data"] == first["data"] for one in others)
    assert all(one["correlationid"] == first["correlationid"] for one in others)
    for _ in range(2):
        await harness.deliver(conversation.rejected(asked))
    assert await conversation.codes() == ["cancel_rejected"]
    assert await harness.fetch("select from deadlines where subject = $1", thread_id) == []


async def test_a_shipped_order_is_not_cancelled(harness: ChatHarness) -> None:
    """A: what chat knows to have shipped is answered at once, and nothing is requested."""
    conversation = await harness.conversation("shipped")
    await conversation.refuses("cancel", "already_shipped")
    assert harness.recorder.names(str(conversation.order_id)) == []


@pytest.mark.parametrize("code", list(RejectionCode))
async def test_the_thread_shows_a_rejection(
    harness: ChatHarness, conversation: Conversation, code: RejectionCode
) -> None:
    """The thread shows a rejection with its reason; the seller may then request again."""
    first = await conversation.cancel()
    await harness.deliver(conversation.rejected(first, code))
    [shown] = await conversation.messages()
    assert (shown["code"], shown["data"]["rejection"]) == ("cancel_rejected", code)
    assert await conversation.cancel() != first
    await harness.recorder.wait_for(str(conversation.order_id), REQUESTED, times=2)


async def test_a_thread_has_a_bounded_number_of_rejections(
    harness: ChatHarness, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests for pieces beyond the limit of rejected ones in an hour are refused without a trace; after the hour they
    are not, and for the whole order never (A). A request that is not decided yet is repeated as before."""
    pieces = {"lines": [{"product_id": str(uuid4()), "quantity": 1000}]}
    monkeypatch.setattr(asking, "MAX_REJECTED", 3)
    for _ in range(3):
        await harness.deliver(conversation.rejected(await conversation.cancel()))
    path, seller, before = f"{conversation.path}/cancel", conversation.seller, await conversation.seen()
    refused = await seller.ask("POST", path, pieces, "k")
    assert_problem(refused, 429, "rate_limited")
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600
    assert (await conversation.seen(), await conversation.codes()) == (before, ["cancel_rejected"] * 3)
    await harness.deliver(conversation.rejected(await conversation.cancel()))
    older = "update messages set at = at - interval '1 hour' where thread_id = $1 and seq < 3"
    await harness.fetch(older, conversation.thread_id)
    asked = await seller.ask("POST", path, pieces, "k")
    assert asked.status_code == 202
    await harness.fetch("update messages set at = clock_now() where thread_id = $1", conversation.thread_id)
    assert (await seller.ask("POST", path, pieces, "k")).json() == asked.json()


async def test_a_rejection_of_another_channel_is_not_shown(harness: ChatHarness, conversation: Conversation) -> None:
    """The thread does not show a rejection of what the buyer requested in the app."""
    await harness.deliver(conversation.rejected(str(uuid4())))
    assert await conversation.messages() == []


async def test_the_buyer_was_faster(harness: ChatHarness, conversation: Conversation) -> None:
    """When the buyer cancels in the app while the seller requests it in the thread, the thread shows both outcomes."""
    mine = await conversation.cancel()
    await harness.deliver(conversation.cancelled("app"), conversation.rejected(mine, "already_cancelled"))
    shown = await conversation.messages()
    assert [message["code"] for message in shown] == ["order_cancelled", "cancel_rejected"]
    assert shown[0]["data"]["channel"] == "app"
    assert (await conversation.seen())["pending_cancellation"] is None


@pytest.mark.parametrize(
    ("channel", "guided", "offered"),
    [("chat", False, True), ("app", True, True), ("web", True, True), ("app", False, False), ("cs", True, False)],
)
async def test_the_buyer_is_offered_to_apologise_and_thank(
    harness: ChatHarness, conversation: Conversation, channel: str, guided: bool, offered: bool
) -> None:
    """A: "jangan lupa untuk meminta maaf … dan berterima kasih": with one tap, until the buyer writes."""
    await conversation.write(conversation.buyer)
    if guided:
        await conversation.guide()
    assert (await conversation.seen())["quick_replies"] == []
    await harness.deliver(conversation.cancelled(channel))
    replies = (await conversation.seen())["quick_replies"]
    assert bool(replies) is offered
    assert (await conversation.buyer.get(f"{conversation.path}/messages"))["quick_replies"] == replies
    assert (await conversation.seen(conversation.seller))["quick_replies"] == []
    await conversation.write(conversation.seller, "Sudah ya, Kak")
    assert (await conversation.seen())["quick_replies"] == replies
    await conversation.write(conversation.buyer, replies[0]["id"] if replies else "Baik")
    assert (await conversation.seen())["quick_replies"] == []


async def test_the_money_comes_back(harness: ChatHarness, conversation: Conversation) -> None:
    """A late refund is announced once, however often it is tried; its arrival is announced once, too."""
    refund_id = uuid4()
    await harness.deliver(conversation.cancelled())
    await harness.deliver(*(conversation.delayed(refund_id, attempts) for attempts in (1, 2, 3)))
    await harness.deliver(conversation.refunded(refund_id, "dana"), conversation.delayed(refund_id, 4))
    await harness.deliver(conversation.refunded(refund_id, "dana"))
    shown = await conversation.messages()
    assert [message["code"] for message in shown] == ["order_cancelled", "refund_delayed", "refund_issued"]
    assert shown[1]["data"] == {"refund_id": str(refund_id), "destination": "dana"}
    assert shown[2]["data"] == {"refund_id": str(refund_id), "destination": "dana", "amount": PRICE}


async def test_a_refund_that_arrives_before_its_cancellation_is_shown_after_it(
    harness: ChatHarness, conversation: Conversation
) -> None:
    """A refund that arrives before the cancellation is shown after it, in its latest state only."""
    refund_id = uuid4()
    await harness.deliver(conversation.delayed(refund_id), conversation.refunded(refund_id))
    assert await conversation.messages() == []
    await harness.deliver(conversation.cancelled())
    assert await conversation.codes() == ["order_cancelled", "refund_issued"]


async def test_events_before_the_order_was_placed(harness: ChatHarness) -> None:
    """Events that arrive before `OrderPlaced` are kept: the order is cancelled, not unpaid, when it gets a thread."""
    deal = harness.deal()
    await harness.deliver(deal.moved("packed"), deal.cancelled(), deal.placed(), deal.moved("processing"))
    conversation = await harness.about(deal)
    assert (await conversation.seen())["order_status"] == "cancelled"
    assert await conversation.messages() == []  # there was no thread when it happened
    await harness.deliver(deal.refunded(uuid4()))
    assert await conversation.codes() == ["refund_issued"]


async def test_events_make_no_threads(harness: ChatHarness) -> None:
    """Events about an order without a thread create none."""
    deal = await harness.sold()
    await harness.deliver(deal.cancelled(), deal.refunded(uuid4()), deal.closed(uuid4()))
    assert await harness.fetch("select from threads where order_id = $1", deal.order_id) == []


async def test_the_threads_head_follows_the_order(harness: ChatHarness) -> None:
    """The thread shows where its order stands."""
    conversation = await harness.conversation("unpaid")
    for status in ("processing", "packed", "shipped"):
        await harness.deliver(conversation.moved(status))
        assert (await conversation.seen())["order_status"] == status


async def test_unknown_words_are_shown_as_they_are(harness: ChatHarness, conversation: Conversation) -> None:
    """A channel, a code, a destination or an outcome of a later version parks nothing: the thread shows it as it is."""
    case_id, refund_id = uuid4(), uuid4()
    for event, later in (
        (conversation.rejected(await conversation.cancel()), {"code": "sealed"}),
        (conversation.contacted(case_id), {}),
        (conversation.closed(case_id), {"outcome": "escalated"}),
        (conversation.cancelled("cs"), {"channel": "kiosk", "fault": "weather"}),
        (conversation.delayed(refund_id), {"destination": "gopay"}),
        (conversation.refunded(refund_id), {"destination": "gopay"}),
    ):
        await harness.deliver(event.model_copy(update=later))
    rejected, _, closed, cancelled, delayed, refunded = await conversation.messages()
    assert rejected["text"] == "Pembatalan oleh penjual tidak dapat dilakukan."
    assert rejected["data"]["rejection"] == "sealed"
    assert (closed["text"], closed["data"]["outcome"]) == ("Layanan pelanggan menutup kasus ini.", "escalated")
    assert cancelled["text"] == "Pesanan dibatalkan."
    assert (cancelled["data"]["channel"], cancelled["data"]["fault"]) == ("kiosk", "weather")
    assert "gopay" in delayed["text"]
    assert "gopay" in refunded["text"]
    assert await harness.fetch("select error from parked") == []


async def test_the_thread_shows_that_an_order_was_not_paid_in_time(harness: ChatHarness) -> None:
    """The thread shows the automatic cancellation with its reason, and offers no apology."""
    conversation = await harness.conversation("unpaid")
    await harness.deliver(conversation.cancelled("system", fault=Fault.NONE).model_copy(update={"paid_amount": 0}))
    [shown] = await conversation.messages()
    assert shown["text"] == "Pesanan dibatalkan otomatis karena belum dibayar sampai batas waktunya."
    assert (shown["data"]["channel"], shown["data"]["fault"]) == ("system", "none")
    assert (await conversation.seen())["quick_replies"] == []
