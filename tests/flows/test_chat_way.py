"""The article's third way: the chat with the seller."""

from tests.harness.actors import Buyer, Seller
from tests.harness.customer_service import codes, messages, says, thread_of, told
from tests.harness.event_recorder import EventRecorder
from tests.harness.system import SystemUnderTest

REQUESTED_TO_REFUNDED = {"OrderCancelRequested", "OrderCancelled", "RefundIssued"}


async def test_the_seller_guides_and_the_buyer_cancels(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, seller: Seller, product: str
) -> None:
    """The guide answers the buyer; the thread tells of the cancellation and the money, and offers words of thanks."""
    order_id = await buyer.buy(product)
    thread_id = await thread_of(buyer, order_id)
    path = f"/chat/threads/{thread_id}"
    unasked = await seller.ask("POST", f"{path}/guide")
    assert (unasked.status_code, unasked.json()["code"]) == (409, "guide_unasked")
    await says(buyer, thread_id, "Maaf, saya salah pilih. Bisa dibatalkan?")
    guide = await seller.post(f"{path}/guide")
    assert (guide["kind"], guide["data"]) == ("guide", {"order_id": order_id})
    answer = await buyer.cancel(order_id, reason="wrong_product")
    assert answer.json()["cancellation"]["channel"] == "app"
    assert (await buyer.refund(order_id))["amount"] == 189_000
    await told(buyer, path, "refund_issued")
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
    story = [one for one in recorder.about(order_id) if one["correlationid"] == answer.headers["X-Correlation-Id"]]
    assert {one["type"] for one in story} == REQUESTED_TO_REFUNDED


async def test_the_seller_cancels_and_the_score_falls(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer
) -> None:
    """The seller gives the order up in the thread: all of the money comes, the thread says so, the rating is lower."""
    seller = await Seller.register(system.http, "seller")
    order_id = await buyer.buy(await seller.offer())
    thread_id = await thread_of(buyer, order_id)
    path = f"/chat/threads/{thread_id}"
    await says(buyer, thread_id, "Kak, tolong batalkan ya.")
    before = await seller.score()
    answer = await seller.ask("POST", f"{path}/cancel", {"reason": "Stok habis"})
    assert answer.status_code == 202
    assert (await buyer.refund(order_id))["amount"] == 189_000
    said = await told(buyer, path, "order_cancelled")
    assert said["data"].items() >= {"channel": "chat", "fault": "seller"}.items()
    assert said["data"]["cancellation_id"] == answer.json()["cancellation_id"]
    await told(buyer, path, "refund_issued")
    assert await codes(seller, path) == ["order_cancelled", "refund_issued"]
    thread = await buyer.get(path)
    assert (thread["order_status"], thread["pending_cancellation"]) == ("cancelled", None)
    assert thread["quick_replies"]
    after = await seller.score()
    assert after["rating"] < before["rating"]
    assert after["cancellations"] == {"seller": 1, "buyer": 0, "platform": 0}
    await recorder.until(order_id, "RefundIssued")
    story = [one for one in recorder.about(order_id) if one["correlationid"] == answer.headers["X-Correlation-Id"]]
    assert {one["type"] for one in story} == REQUESTED_TO_REFUNDED
    assert {one["source"] for one in story} == {"chat", "orders", "refunds"}
    assert len({one["traceparent"].split("-")[1] for one in story}) == 1


async def test_too_late_in_the_chat_too(buyer: Buyer, seller: Seller, product: str) -> None:
    """What has shipped can neither be guided to a cancellation nor be cancelled by the seller (A)."""
    order_id = await buyer.buy(product)
    thread_id = await thread_of(buyer, order_id)
    path = f"/chat/threads/{thread_id}"
    await says(buyer, thread_id, "Bisa dibatalkan?")
    await seller.done(order_id, "pack", "ship")
    answer = await seller.ask("POST", f"{path}/cancel")
    if answer.status_code == 202:  # chat had not heard of it yet; `orders` knows
        assert (await told(buyer, path, "cancel_rejected"))["data"]["rejection"] == "already_shipped"
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "already_shipped")
    assert (await buyer.order(order_id))["status"] == "shipped"
