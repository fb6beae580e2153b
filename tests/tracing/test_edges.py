"""Which span follows from which, from the click to the refund, as an OTLP receiver gets them."""

import json
from datetime import timedelta

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runtime.messaging.bus import Message
from services import SERVICES
from services.accounts.demonstration import PASSWORD
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import contacted
from tests.harness.event_recorder import EventRecorder
from tests.harness.system import SystemUnderTest
from tests.harness.waiting import eventually
from tests.tracing.receiver import Receiver
from tests.tracing.trees import CLICK, ISSUED, REFUND, Click, arrived, attributes, context, deeper


async def test_from_the_click_to_the_updated_order(
    receiver: Receiver, system: SystemUnderTest, buyer: Buyer, product: str
) -> None:
    """A cancellation is one tree, across outbox, broker and services, and its spans are named by the conventions."""
    order_id, click = await buyer.buy(product), Click(receiver)
    await click.cancels(buyer, order_id)
    await buyer.refund(order_id)
    await system.settled()
    await click.becomes(CLICK + REFUND + ISSUED)
    (server,) = receiver.named("POST", click.trace_id)
    assert server.kind == Span.SPAN_KIND_SERVER
    assert (
        attributes(server).items()
        >= {"http.route": "/orders/{order_id}/cancel", "http.response.status_code": 200}.items()
    )
    destination, key = "batalkan.events:refunds.RefundIssued", "refunds.RefundIssued"
    (sent,) = receiver.named(f"publish {destination}", click.trace_id)
    (handled,) = receiver.named(f"process {destination}:orders", click.trace_id)
    assert (sent.kind, handled.kind) == (Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER)
    common = {"messaging.system": "memory", "messaging.rabbitmq.destination.routing_key": key}
    sends = {"messaging.operation.name": "publish", "messaging.operation.type": "send"}
    processes = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    assert attributes(sent).items() >= {**common, **sends, "messaging.destination.name": destination}.items()
    assert (
        attributes(handled).items()
        >= {**common, **processes, "messaging.destination.name": f"{destination}:orders"}.items()
    )
    assert attributes(sent)["messaging.message.id"] == attributes(handled)["messaging.message.id"]
    (waited,) = receiver.named("outbox RefundIssued", click.trace_id)
    assert waited.start_time_unix_nano <= waited.end_time_unix_nano <= sent.end_time_unix_nano


async def test_a_page_calls_a_service(receiver: Receiver, system: SystemUnderTest) -> None:
    """The request of a page, its call of another service, and that service's request are parent and child."""
    form = {"email": "nobody@example.com", "password": "wrong", "form": "token", "key": "0" * 36}
    headers = {"Origin": "http://localhost", "Cookie": "form=token"}
    answer = await system.http.post("/web/s/a/sign-in", data=form, headers=headers)
    assert answer.status_code == 400
    (page,) = await arrived(receiver, "POST /web/s/{seat}/sign-in")
    click = Click(receiver, trace_id=page.trace_id.hex(), span_id="")
    await click.becomes("""
        web: POST /web/s/{seat}/sign-in
          web: POST (400)
            accounts: POST /accounts/token
        """)


async def test_through_a_timeout_of_dana(
    receiver: Receiver, system: SystemUnderTest, product: str, recorder: EventRecorder
) -> None:
    """The call that DANA does not answer, the deadline that it leaves behind, and the question when that fires."""
    buyer = await Buyer.register(system.http, "buyer")
    await buyer.link_dana()
    await system.dana.put("/faults", json={"mode": "timeout_after", "times": 1, "seconds": 5})
    order_id, click = await buyer.buy(product), Click(receiver)
    await click.cancels(buyer, order_id)
    await recorder.wait_for(order_id, "RefundDelayed")
    await system.advance(timedelta(minutes=1))
    await buyer.refund(order_id)
    await system.settled()
    await click.becomes(
        CLICK
        + REFUND
        + """\
      refunds: deadline pay_dana
        refunds: POST /v1.0/emoney/topup.htm (TimeoutError)
        refunds: deadline pay_dana
          refunds: POST /v1.0/emoney/topup-status.htm
"""
        + deeper(ISSUED, 2)
        + deeper(ISSUED.replace("RefundIssued", "RefundDelayed"), 1)
    )
    (call,) = receiver.named("POST /v1.0/emoney/topup-status.htm", click.trace_id)
    called = {"http.request.method": "POST", "http.response.status_code": 200, "server.address": "dana"}
    assert (call.kind, attributes(call) | called) == (Span.SPAN_KIND_CLIENT, attributes(call))


async def test_across_24_hours(receiver: Receiver, system: SystemUnderTest, buyer: Buyer, seller: Seller) -> None:
    """The deadline of a silent seller fires a day later in the trace of its case, and links to the span that set it; so
    does what follows."""
    agent = await Agent.sign_in(system.http, "agent@example.com", PASSWORD)
    await agent.duty()
    case = await contacted(buyer, [agent], seller, await buyer.buy(await seller.offer()))
    await system.advance(timedelta(hours=24))
    await case.becomes("resolved")
    await buyer.refund(case.order_id)
    await agent.duty(False)
    await system.settled()
    (fired,) = await arrived(receiver, "deadline seller_silent")
    click = Click(receiver, trace_id=fired.trace_id.hex(), span_id="")
    await click.becomes(
        """\
cs: POST /cs/cases
  cs: deadline ask_again
  cs: deadline seller_silent
    cs: deadline settled
      cs: outbox OrderCancelRequested
      cs: publish cs.OrderCancelRequested
        orders: process cs.OrderCancelRequested:orders
          orders: outbox OrderCancelled
          orders: publish orders.OrderCancelled
            chat: process orders.OrderCancelled:chat
            cs: process orders.OrderCancelled:cs
            notifications: process orders.OrderCancelled:notifications
"""
        + deeper(REFUND + ISSUED, 4)
        + """\
  cs: outbox CaseClosed
  cs: outbox SellerContacted
  cs: publish cs.CaseClosed
    chat: process cs.CaseClosed:chat
    notifications: process cs.CaseClosed:notifications
  cs: publish cs.SellerContacted
    chat: process cs.SellerContacted:chat
    notifications: process cs.SellerContacted:notifications
"""
    )
    (opened,) = receiver.named("POST /cs/cases", click.trace_id)
    assert [context(link) for link in fired.links] == [context(opened)]


async def test_redelivered(
    receiver: Receiver, system: SystemUnderTest, buyer: Buyer, product: str, recorder: EventRecorder
) -> None:
    """A message that comes again has a span that says so, and nothing follows from it. Messages that are handled in one
    batch keep their own traces; the batch links to each, and each to it."""
    clicks = [Click(receiver), Click(receiver)]
    events = []
    for click in clicks:
        order_id = await buyer.buy(product)
        await click.cancels(buyer, order_id)
        events.append(await recorder.wait_for(order_id, "OrderCancelled"))
        await buyer.refund(order_id)
    await system.settled()
    publisher = await system.bus("orders").publisher([])
    await publisher.publish([Message("orders.OrderCancelled", json.dumps(event).encode()) for event in events])
    again = "".join(
        f"    {name}: process orders.OrderCancelled:{name} (duplicate)\n" for name in ("chat", "cs", "notifications")
    )
    once, twice = CLICK.splitlines(keepends=True), again.splitlines(keepends=True)
    pairs = [line for pair in zip(once[5:], twice, strict=True) for line in pair]
    refunded_again = twice[0].replace("chat", "refunds")
    for click in clicks:
        await click.becomes("".join([*once[:5], *pairs, REFUND, ISSUED, refunded_again]))
    sent = [receiver.named("publish batalkan.events:orders.OrderCancelled", click.trace_id)[-1] for click in clicks]

    async def batches() -> list[Span]:
        found = receiver.named("process batalkan.events:refunds")
        return [span for span in found if sorted(map(context, span.links)) == sorted(map(context, sent))]

    (batch,) = await eventually(batches)
    assert (batch.parent_span_id, attributes(batch)["messaging.batch.message_count"]) == (b"", 2)
    for click in clicks:
        first, repeated = receiver.named("process batalkan.events:orders.OrderCancelled:refunds", click.trace_id)
        assert [context(link) for link in first.links] == []
        assert [context(link) for link in repeated.links] == [context(batch)]


async def test_parked_and_replayed(receiver: Receiver, system: SystemUnderTest, buyer: Buyer, product: str) -> None:
    """Each failed attempt is a span; the replay is one more, under the same publication, and the refund follows from
    it alone."""
    state, switches = "/refunds/demonstration/state", "/refunds/demonstration/switches"
    (await system.http.put(switches, json={"handling": False})).raise_for_status()
    order_id, click = await buyer.buy(product), Click(receiver)
    await click.cancels(buyer, order_id)

    async def parked() -> list[dict[str, str]]:
        found: list[dict[str, str]] = (await system.http.get(state)).json()["parked"]
        return found

    (message,) = await eventually(parked)
    (await system.http.put(switches, json={"handling": True})).raise_for_status()
    replay = f"/refunds/demonstration/parked/{message['parked_id']}/replay"
    (await system.http.post(replay)).raise_for_status()
    await buyer.refund(order_id)
    attempt = "    refunds: process orders.OrderCancelled:refunds (BrokenOnPurpose)\n"
    await click.becomes(CLICK + 5 * attempt + "    refunds: replay orders.OrderCancelled:refunds\n" + ISSUED)


async def test_what_is_not_sampled(
    receiver: Receiver, system: SystemUnderTest, buyer: Buyer, product: str, recorder: EventRecorder
) -> None:
    """A client that does not record its trace gets no spans, from the request to the refund."""
    order_id, click = await buyer.buy(product), Click(receiver, sampled=False)
    recorded = Click(receiver)
    await click.cancels(buyer, order_id)
    issued = await recorder.wait_for(order_id, "RefundIssued")
    assert issued["traceparent"][:35] == f"00-{click.trace_id}"
    assert issued["traceparent"].endswith("-00")
    await buyer.refund(order_id)
    order_id = await buyer.buy(product)
    await recorded.cancels(buyer, order_id)
    await recorded.becomes(CLICK + REFUND + ISSUED)
    assert receiver.tree(click.trace_id, click.span_id) == []


async def test_each_service_has_its_name_and_its_exemplars(receiver: Receiver, system: SystemUnderTest) -> None:
    """In one process, too, the spans name their service; histograms name a span that was exported."""
    assert {service for service, _ in receiver.spans} >= set(SERVICES)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    lines = (await system.http.get("/orders/metrics", headers=accept)).text.splitlines()
    exported = {span.span_id.hex() for _, span in receiver.spans}
    for histogram in ("batalkan_http_seconds", "batalkan_handling_seconds", "batalkan_event_lag_seconds"):
        named = [line for line in lines if line.startswith(f"{histogram}_bucket") and "span_id" in line]
        assert exported & {line.partition('span_id="')[2][:16] for line in named}, histogram
