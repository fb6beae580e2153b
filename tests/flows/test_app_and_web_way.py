"""The article's way through the app and the website, from the registration to the money."""

from datetime import datetime

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
    assert (
        cancelled["cancellation"].items()
        >= {
            "allowed": False,
            "code": "already_cancelled",
            "channel": "app",
            "reason": "changed_mind",
            "note": "maaf, salah pilih",
            "fault": "buyer",
        }.items()
    )
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


async def test_an_order_has_its_history(buyer: Buyer, seller: Seller, agent: Person, product: str) -> None:
    """Buyer, seller and agents see the same order, with each status that it went through, in order."""
    order_id = await buyer.place(product)
    placed = await buyer.order(order_id)
    assert placed["cancellation"].items() >= {"allowed": True, "code": None}.items()
    placed_at, until = (
        datetime.fromisoformat(moment) for moment in (placed["placed_at"], placed["cancellation"]["until"])
    )
    assert (until - placed_at).total_seconds() == 24 * 3600
    await buyer.move(order_id, "pay")
    await seller.done(order_id, "pack", "ship", "deliver")
    seen = [await person.order(order_id) for person in (buyer, seller, agent)]
    assert seen[0] == seen[1] == seen[2]
    steps = [step["status"] for step in seen[0]["history"]]
    assert steps == ["unpaid", "processing", "packed", "shipped", "delivered"]
    assert seen[0]["version"] == 5


async def test_one_correlation_id_from_the_request_to_the_refund(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, stranger: Buyer, product: str
) -> None:
    """All events of a cancellation have the correlation id of its answer, and name their cause."""
    order_id = await buyer.buy(product)
    answer = await buyer.cancel(order_id)
    issued = await recorder.wait_for(order_id, "RefundIssued")
    trace = [e for e in recorder.about(order_id) if e["correlationid"] == answer.headers["X-Correlation-Id"]]
    assert {event["type"] for event in trace} == {"OrderCancelRequested", "OrderCancelled", "RefundIssued"}
    cancelled = next(event for event in trace if event["type"] == "OrderCancelled")
    assert issued["causationid"] == cancelled["id"]
    assert issued["data"]["cancellation_id"] == cancelled["data"]["cancellation_id"]
    assert len({event["traceparent"].split("-")[1] for event in trace}) == 1
    system_message = [event["type"] for event in recorder.about(order_id) if event["source"] == "orders"]
    assert system_message == ["OrderPlaced", "OrderPaid", "OrderCancelRequested", "OrderCancelled"]
    assert [event["sequence"] for event in recorder.about(order_id) if event["source"] == "orders"] == [1, 2, 3, 4]


async def test_trace_of_the_caller_goes_on(
    system: SystemUnderTest, recorder: EventRecorder, buyer: Buyer, product: str
) -> None:
    """A caller's `traceparent` is carried through every service to the refund."""
    order_id = await buyer.buy(product)
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"Authorization": f"Bearer {buyer.token}", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    await system.http.post(f"/orders/{order_id}/cancel", headers=headers)
    assert (await recorder.wait_for(order_id, "RefundIssued"))["traceparent"].split("-")[1] == trace


async def test_refund_is_the_same_everywhere(buyer: Buyer, agent: Person, product: str) -> None:
    """The refund that the order shows is the one that refunds lists for its buyer and shows to agents."""
    order_id = await buyer.buy(product)
    await buyer.cancel(order_id)
    shown = await buyer.refund(order_id)
    listed = (await buyer.get("/refunds?limit=1"))["items"][0]
    assert listed == await agent.get(f"/refunds/{shown['refund_id']}")
    assert listed["order_id"] == order_id
    assert shown.items() <= listed.items()


async def test_signing_out_ends_the_session(system: SystemUnderTest, stranger: Buyer) -> None:
    """After signing out the refresh token is worth nothing, and the account is as it was."""
    form = {"grant_type": "password", "username": stranger.email, "password": stranger.password, "client_id": "app"}
    tokens = (await system.http.post("/accounts/token", data=form)).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await system.http.post("/accounts/logout", headers=headers)).status_code == 204
    again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "app"}
    refused = await system.http.post("/accounts/token", data=again)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
