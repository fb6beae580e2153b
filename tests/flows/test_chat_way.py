"""The article's third way: the chat with the seller."""

from tests.harness.actors import Buyer, Seller
from tests.harness.customer_service import codes, messages, says, system_message, thread_of
from tests.harness.event_recorder import EventRecorder
from tests.harness.system import SystemUnderTest

REQUESTED_TO_REFUNDED = {"OrderCancelRequested", "OrderCancelled", "RefundIssued"}


async def test_the_seller_guides_and_the_buyer_cancels(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, seller: Seller, product: str
) -> None:
    """The guide answers the buyer; the thread shows cancellation and refund, and offers quick replies."""
    order_id = await buyer.buy(product)
    thread_id = await thread_of(buyer, order_id)
    path = f"/chat/threads/{thread_id}"
    unasked = await seller.ask("POST", f"{path}/guide")
    assert (unasked.status_code, unasked.json()["code"]) == (409, "guide_unasked")
    await says(buyer, thread_id, "Maaf, saya salah pilih. Bisa dibatalkan?")
    guide = await seller.send(f"{path}/guide")
    assert (guide["kind"], guide["data"]) == ("guide", {"order_id": order_id})
    answer = await buyer.cancel(order_id, reason="wrong_product")
    assert answer.json()["cancellation"]["channel"] == "app"
    assert (await buyer.refund(order_id))["amount"] == 189_000
    await system_message(buyer, path, "refund_issued")
    assert [(message["kind"], message["code"]) for message in await messages(buyer, path)] == [
        ("text", None),
        ("guide", "cancel_guide"),
        ("system", "order_cancelled"),
        ("system", "refund_issued"),
    ]
    offered = (await buyer.get(f"{path}/messages"))["quick_replies"]
    assert offered == (await buyer.get(path))["quick_replies"]
    assert all("maaf" in reply["id"].lower() and "terima kasih" in reply["id"].lower() for reply in offered)
    assert offered
    await says(buyer, thread_id, offered[0]["id"])
    assert (await buyer.get(path))["quick_replies"] == []
    assert (await seller.get(path))["last_message"]["text"] == offered[0]["id"]
    trace = recorder.trace(answer.headers["X-Correlation-Id"])
    assert {one["type"] for one in trace} == REQUESTED_TO_REFUNDED


async def test_the_seller_cancels_and_the_score_falls(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer
) -> None:
    """The seller cancels in the thread: all of the money comes back, the thread shows it, the rating is lower."""
    seller = await Seller.register(system.http, "seller")
    order_id = await buyer.buy(await seller.offer())
    thread_id = await thread_of(buyer, order_id)
    path = f"/chat/threads/{thread_id}"
    await says(buyer, thread_id, "Kak, tolong batalkan ya.")
    before = await seller.score()
    answer = await seller.ask("POST", f"{path}/cancel", {"reason": "Stok habis"})
    assert answer.status_code == 202
    assert (await buyer.refund(order_id))["amount"] == 189_000
    said = await system_message(buyer, path, "order_cancelled")
    assert said["data"].items() >= {"channel": "chat", "fault": "seller"}.items()
    assert said["data"]["cancellation_id"] == answer.json()["cancellation_id"]
    await system_message(buyer, path, "refund_issued")
    assert await codes(seller, path) == ["order_cancelled", "refund_issued"]
    thread = await buyer.get(path)
    assert (thread["order_status"], thread["pending_cancellation"]) == ("cancelled", None)
    assert thread["quick_replies"]
    after = await seller.score()
    assert after["rating"] < before["rating"]
    assert after["cancellations"] == {"seller": 1, "buyer": 0, "platform": 0}
    await recorder.wait_for(order_id, "RefundIssued")
    trace = recorder.trace(answer.headers["X-Correlation-Id"])
    assert {one["type"] for one in trace} == REQUESTED_TO_REFUNDED
    assert {one["source"] for one in trace} == {"chat", "orders", "refunds"}


async def test_too_late_in_the_chat_too(buyer: Buyer, seller: Seller, product: str) -> None:
    """For a shipped order the seller can neither send a guide nor cancel (A)."""
    order_id = await buyer.buy(product)
    thread_id = await thread_of(buyer, order_id)
    path = f"/chat/threads/{thread_id}"
    await says(buyer, thread_id, "Bisa dibatalkan?")
    await seller.done(order_id, "pack", "ship")
    answer = await seller.ask("POST", f"{path}/cancel")
    if answer.status_code == 202:  # chat had not heard of it yet; `orders` knows
        assert (await system_message(buyer, path, "cancel_rejected"))["data"]["rejection"] == "already_shipped"
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "already_shipped")
    assert (await buyer.order(order_id))["status"] == "shipped"
