"""Cancelling in the thread: the guide, the seller's own cancellation, and what the thread shows of both."""

from uuid import UUID, uuid4

import pytest

from contracts.orders import RejectionCode
from contracts.words import Fault
from tests.harness.chat import PRICE, House, Talk
from tests.harness.orders_actors import assert_problem


async def test_a_guide_answers_a_message_of_the_buyer(talk: Talk) -> None:
    """M: unasked 409; once the buyer has written, one guide; then the buyer must write again."""
    path = f"{talk.path}/guide"
    assert_problem(await talk.seller.ask("POST", path), 409, "guide_unasked")
    await talk.write(talk.buyer, "Bagaimana cara membatalkan?")
    guide = await talk.seller.post(path, status=201)
    assert (guide["kind"], guide["code"]) == ("guide", "cancel_guide")
    assert guide["sender_id"] == str(talk.seller.account_id)
    assert guide["data"] == {"order_id": str(talk.deal.order_id)}
    assert_problem(await talk.seller.ask("POST", path), 409, "guide_unasked")
    await talk.write(talk.buyer)
    await talk.write(talk.seller)
    assert_problem(await talk.seller.ask("POST", path), 409, "guide_unasked")
    await talk.write(talk.buyer)
    await talk.seller.post(path, status=201)


async def test_the_system_does_not_ask_for_a_guide(house: House, talk: Talk) -> None:
    """A message of the system neither makes a guide possible nor takes the possibility away."""
    await house.hears(talk.deal.contacted(uuid4()))
    assert_problem(await talk.seller.ask("POST", f"{talk.path}/guide"), 409, "guide_unasked")
    await talk.write(talk.buyer)
    await house.hears(talk.deal.contacted(uuid4()))
    await talk.seller.post(f"{talk.path}/guide", status=201)


@pytest.mark.parametrize(("status", "possible"), [("unpaid", True), ("packed", True), ("shipped", False)])
async def test_a_guide_needs_an_order_that_can_be_cancelled(house: House, status: str, possible: bool) -> None:
    """A: until it ships."""
    talk = await house.talk(status)
    await talk.write(talk.buyer)
    answer = await talk.seller.ask("POST", f"{talk.path}/guide")
    if possible:
        assert answer.status_code == 201
    else:
        assert_problem(answer, 409, "wrong_state")


async def test_the_seller_cancels(house: House, talk: Talk) -> None:
    """The seller's request goes to `orders`; asking again is the same request; the thread shows that it is granted."""
    asked = await talk.seller.post(f"{talk.path}/cancel", {"reason": "Stok habis"}, 202)
    again = await talk.seller.post(f"{talk.path}/cancel", status=202)
    assert asked == again
    assert asked["status"] == "requested"
    assert (await talk.seen())["pending_cancellation"] == asked["cancellation_id"]
    order_id = str(talk.deal.order_id)
    request = await house.ears.hear(order_id, "OrderCancelRequested")
    assert request["data"] == {
        "cancellation_id": asked["cancellation_id"],
        "order_id": order_id,
        "channel": "chat",
        "requested_by": str(talk.seller.account_id),
        "role": "seller",
        "reason": "Stok habis",
        "note": None,
    }
    await house.hears(talk.deal.cancelled("chat", UUID(asked["cancellation_id"])))
    [shown] = await talk.messages()
    assert (shown["kind"], shown["code"], shown["sender_id"]) == ("system", "order_cancelled", None)
    assert shown["data"]["channel"] == "chat"
    assert shown["data"]["cancellation_id"] == asked["cancellation_id"]
    thread = await talk.seen()
    assert (thread["order_status"], thread["pending_cancellation"]) == ("cancelled", None)
    assert_problem(await talk.seller.ask("POST", f"{talk.path}/cancel"), 409, "already_cancelled")
    assert house.ears.names(order_id).count("OrderCancelRequested") == 1


async def test_a_request_needs_no_reason(house: House, talk: Talk) -> None:
    """An empty body, and an empty reason, are no reason."""
    await talk.seller.post(f"{talk.path}/cancel", {"reason": "  "}, 202)
    request = await house.ears.hear(str(talk.deal.order_id), "OrderCancelRequested")
    assert request["data"]["reason"] is None


async def test_another_reason_is_not_dropped(house: House, talk: Talk) -> None:
    """While the request is undecided, asking again with the same reason or none is the same request; with another
    reason it is refused, since that one would reach nobody."""
    asked = await talk.seller.post(f"{talk.path}/cancel", {"reason": "Stok habis"}, 202)
    assert await talk.seller.post(f"{talk.path}/cancel", {"reason": "Stok habis"}, 202) == asked
    answer = await talk.seller.ask("POST", f"{talk.path}/cancel", json={"reason": "Salah harga"})
    assert_problem(answer, 409, "wrong_state")


async def test_a_request_without_an_answer_is_said_again(house: House, talk: Talk) -> None:
    """The same request after growing pauses, in case it or its answer was lost; no more once it is answered. A second
    answer has no second effect."""
    asked = await talk.seller.post(f"{talk.path}/cancel", {"reason": "Stok habis"}, 202)
    order_id, thread_id = str(talk.deal.order_id), talk.thread_id
    for times in (2, 3):
        await house.fetch(
            "update deadlines set due_at = clock_now() where subject = $1 and kind = 'ask_again'", thread_id
        )
        await house.ears.hear(order_id, "OrderCancelRequested", times=times)
    first, *others = [one for one in house.ears.events[order_id] if one["type"] == "OrderCancelRequested"]
    assert all(one["data"] == first["data"] for one in others)
    assert all(one["correlationid"] == first["correlationid"] for one in others)
    for _ in range(2):
        await house.hears(talk.deal.rejected(asked["cancellation_id"]))
    assert await talk.codes() == ["cancel_rejected"]
    assert await house.fetch("select from deadlines where subject = $1", thread_id) == []


async def test_a_shipped_order_is_not_cancelled(house: House) -> None:
    """A: what chat knows to have shipped is answered at once, and nothing is requested."""
    talk = await house.talk("shipped")
    assert_problem(await talk.seller.ask("POST", f"{talk.path}/cancel"), 409, "already_shipped")
    assert house.ears.names(str(talk.deal.order_id)) == []


@pytest.mark.parametrize("code", list(RejectionCode))
async def test_the_thread_shows_a_rejection(house: House, talk: Talk, code: RejectionCode) -> None:
    """What the seller asked for and `orders` did not grant is said, with the reason; then it may be asked for anew."""
    first = (await talk.seller.post(f"{talk.path}/cancel", status=202))["cancellation_id"]
    await house.hears(talk.deal.rejected(first, code))
    [shown] = await talk.messages()
    assert (shown["code"], shown["data"]["rejection"]) == ("cancel_rejected", code)
    second = (await talk.seller.post(f"{talk.path}/cancel", status=202))["cancellation_id"]
    assert second != first
    await house.ears.hear(str(talk.deal.order_id), "OrderCancelRequested", times=2)


async def test_a_rejection_from_elsewhere_is_told_there(house: House, talk: Talk) -> None:
    """That the buyer tried in the app and failed is not the thread's business."""
    await house.hears(talk.deal.rejected(str(uuid4())))
    assert await talk.messages() == []


async def test_the_buyer_was_faster(house: House, talk: Talk) -> None:
    """When the buyer cancels in the app while the seller does here, both are told what happened."""
    mine = (await talk.seller.post(f"{talk.path}/cancel", status=202))["cancellation_id"]
    await house.hears(talk.deal.cancelled("app"), talk.deal.rejected(mine, "already_cancelled"))
    shown = await talk.messages()
    assert [message["code"] for message in shown] == ["order_cancelled", "cancel_rejected"]
    assert shown[0]["data"]["channel"] == "app"
    assert (await talk.seen())["pending_cancellation"] is None


@pytest.mark.parametrize(
    ("channel", "guided", "offered"),
    [("chat", False, True), ("app", True, True), ("web", True, True), ("app", False, False), ("cs", True, False)],
)
async def test_the_buyer_is_offered_to_apologise_and_thank(
    house: House, talk: Talk, channel: str, guided: bool, offered: bool
) -> None:
    """A: "jangan lupa untuk meminta maaf … dan berterima kasih": with one tap, until the buyer has said something."""
    await talk.write(talk.buyer)
    if guided:
        await talk.seller.post(f"{talk.path}/guide", status=201)
    assert (await talk.seen())["quick_replies"] == []
    await house.hears(talk.deal.cancelled(channel))
    replies = (await talk.seen())["quick_replies"]
    assert bool(replies) is offered
    assert (await talk.buyer.get(f"{talk.path}/messages"))["quick_replies"] == replies
    assert (await talk.seen(talk.seller))["quick_replies"] == []
    await talk.write(talk.seller, "Sudah ya, Kak")
    assert (await talk.seen())["quick_replies"] == replies
    await talk.write(talk.buyer, replies[0]["id"] if replies else "Baik")
    assert (await talk.seen())["quick_replies"] == []


async def test_the_money_comes_back(house: House, talk: Talk) -> None:
    """A refund that is late is said once, however often it is tried; that it has arrived, once as well."""
    refund_id = uuid4()
    await house.hears(talk.deal.cancelled())
    await house.hears(*(talk.deal.delayed(refund_id, attempts) for attempts in (1, 2, 3)))
    await house.hears(talk.deal.refunded(refund_id, "dana"), talk.deal.delayed(refund_id, 4))
    await house.hears(talk.deal.refunded(refund_id, "dana"))
    shown = await talk.messages()
    assert [message["code"] for message in shown] == ["order_cancelled", "refund_delayed", "refund_issued"]
    assert shown[1]["data"] == {"refund_id": str(refund_id), "destination": "dana"}
    assert shown[2]["data"] == {"refund_id": str(refund_id), "destination": "dana", "amount": PRICE}


async def test_a_refund_heard_before_its_cancellation_is_said_after_it(house: House, talk: Talk) -> None:
    """`refunds` may be heard before `orders`: the thread tells the story in its order, and only what still holds."""
    refund_id = uuid4()
    await house.hears(talk.deal.delayed(refund_id), talk.deal.refunded(refund_id))
    assert await talk.messages() == []
    await house.hears(talk.deal.cancelled())
    assert await talk.codes() == ["order_cancelled", "refund_issued"]


async def test_events_before_the_order_was_placed(house: House) -> None:
    """What is heard of an order before the order itself is kept: it is cancelled, not unpaid, when it gets a thread."""
    deal = house.deal()
    await house.hears(deal.moved("packed"), deal.cancelled(fault=Fault.BUYER), deal.placed(), deal.moved("processing"))
    talk = await house.about(deal)
    assert (await talk.seen())["order_status"] == "cancelled"
    assert await talk.messages() == []  # nobody talked when it happened
    await house.hears(deal.refunded(uuid4()))
    assert await talk.codes() == ["refund_issued"]


async def test_without_a_thread_nothing_is_said(house: House) -> None:
    """Events about orders that nobody talks about make no threads."""
    deal = await house.sold()
    await house.hears(deal.cancelled(), deal.refunded(uuid4()), deal.closed(uuid4()))
    assert await house.fetch("select from threads where order_id = $1", deal.order_id) == []


async def test_the_threads_head_follows_the_order(house: House) -> None:
    """The thread shows where its order stands."""
    talk = await house.talk("unpaid")
    for status in ("processing", "packed", "shipped"):
        await house.hears(talk.deal.moved(status))
        assert (await talk.seen())["order_status"] == status


async def test_words_that_were_added_later_are_told_without_being_understood(house: House, talk: Talk) -> None:
    """A channel, a code, a destination or an outcome of a later version stops nothing: the thread says what it can."""
    deal, case_id, refund_id = talk.deal, uuid4(), uuid4()
    asked = await talk.seller.post(f"{talk.path}/cancel", status=202)
    await house.hears(deal.rejected(asked["cancellation_id"]).model_copy(update={"code": "sealed"}))
    await house.hears(deal.contacted(case_id), deal.closed(case_id).model_copy(update={"outcome": "escalated"}))
    await house.hears(deal.cancelled("cs").model_copy(update={"channel": "kiosk", "fault": "weather"}))
    await house.hears(deal.delayed(refund_id).model_copy(update={"destination": "gopay"}))
    await house.hears(deal.refunded(refund_id).model_copy(update={"destination": "gopay"}))
    rejected, _, closed, cancelled, delayed, refunded = await talk.messages()
    assert rejected["text"] == "Pembatalan oleh penjual tidak dapat dilakukan."
    assert rejected["data"]["rejection"] == "sealed"
    assert (closed["text"], closed["data"]["outcome"]) == ("Layanan pelanggan menutup kasus ini.", "escalated")
    assert cancelled["text"] == "Pesanan dibatalkan."
    assert (cancelled["data"]["channel"], cancelled["data"]["fault"]) == ("kiosk", "weather")
    assert "gopay" in delayed["text"]
    assert "gopay" in refunded["text"]
    assert await house.fetch("select error from parked") == []


async def test_an_order_that_was_not_paid_in_time_is_said_to_be_so(house: House) -> None:
    """The thread says that the order went by itself, and why; it owes nobody an apology."""
    talk = await house.talk("unpaid")
    await house.hears(talk.deal.cancelled("system", fault=Fault.NONE).model_copy(update={"paid_amount": 0}))
    [shown] = await talk.messages()
    assert shown["text"] == "Pesanan dibatalkan otomatis karena belum dibayar sampai batas waktunya."
    assert (shown["data"]["channel"], shown["data"]["fault"]) == ("system", "none")
    assert (await talk.seen())["quick_replies"] == []
