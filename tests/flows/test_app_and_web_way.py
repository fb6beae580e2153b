"""The article's way through the app and the website, from the registration to the money."""

from tests.harness.actors import Buyer, Person, Seller
from tests.harness.event_recorder import EventRecorder
from tests.harness.system import SystemUnderTest


async def test_cancelled_in_the_app_and_credited(system: SystemUnderTest) -> None:
    """After registering, ordering, paying and cancelling in the app all the money is in Lazada Credit."""
    seller, buyer = await Seller.register(system.http, "seller"), await Buyer.register(system.http, "buyer")
    order_id = await buyer.buy(await seller.offer(price=125_000), quantity=2)
    answer = await buyer.cancel(order_id, reason="changed_mind", note="maaf, salah pilih")
    assert answer.status_code == 200
    cancelled = answer.json()
    assert cancelled["status"] == "cancelled"
    why = {"channel": "app", "reason": "changed_mind", "note": "maaf, salah pilih", "fault": "buyer"}
    shown = {"allowed": False, "code": "already_cancelled", **why}
    assert cancelled["cancellation"].items() >= shown.items()
    refund = await buyer.refund(order_id)
    assert refund.items() >= {"state": "issued", "amount": 250_000, "destination": "lazada_credit"}.items()
    wallet = await buyer.get("/refunds/wallet")
    assert wallet["credit_balance"] == 250_000
    assert [(entry["refund_id"], entry["amount"]) for entry in wallet["entries"]] == [(refund["refund_id"], 250_000)]
    assert (await system.settled()).broken == []


async def test_cancelled_on_the_website_and_paid_by_dana(
    system: SystemUnderTest, dana_buyer: Buyer, product: str
) -> None:
    """The same account on the website, with DANA linked: the money comes back to DANA, and not to Lazada Credit."""
    browser, credit = await dana_buyer.on_the_website(), await dana_buyer.credit()
    order_id = await dana_buyer.buy(product)
    cancelled = (await browser.cancel(order_id)).json()
    assert cancelled["cancellation"]["channel"] == "web"
    assert cancelled["cancellation"]["reason"] is None
    refund = await browser.refund(order_id)
    assert refund.items() >= {"amount": 189_000, "destination": "dana"}.items()
    paid = {payment["reference"]: payment["amount"] for payment in await system.dana_payments()}
    assert paid[refund["refund_id"].replace("-", "")] == 189_000
    assert await dana_buyer.credit() == credit


async def test_one_trace_from_the_request_to_the_refund(recorder: EventRecorder, buyer: Buyer, product: str) -> None:
    """All events of a cancellation have the correlation id of its answer and the caller's trace, and name their
    cause."""
    order_id, trace_id = await buyer.buy(product), "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    answer = await buyer.ask("POST", f"/orders/{order_id}/cancel", headers=headers)
    issued = await recorder.wait_for(order_id, "RefundIssued")
    trace = recorder.trace(answer.headers["X-Correlation-Id"])
    assert {event["type"] for event in trace} == {"OrderCancelRequested", "OrderCancelled", "RefundIssued"}
    assert issued["traceparent"].split("-")[1] == trace_id
    cancelled = next(event for event in trace if event["type"] == "OrderCancelled")
    assert issued["causationid"] == cancelled["id"]
    assert issued["data"]["cancellation_id"] == cancelled["data"]["cancellation_id"]
    published = [
        (event["sequence"], event["type"]) for event in recorder.about(order_id) if event["source"] == "orders"
    ]
    assert published == [(1, "OrderPlaced"), (2, "OrderPaid"), (3, "OrderCancelRequested"), (4, "OrderCancelled")]


async def test_refund_is_the_same_everywhere(buyer: Buyer, agent: Person, product: str) -> None:
    """The refund that the order shows is the one that refunds lists for its buyer and shows to agents."""
    order_id = await buyer.buy(product)
    await buyer.cancel(order_id)
    shown = await buyer.refund(order_id)
    listed = (await buyer.get("/refunds?limit=1"))["items"][0]
    assert listed == await agent.get(f"/refunds/{shown['refund_id']}")
    assert listed["order_id"] == order_id
    assert shown.items() <= listed.items()
