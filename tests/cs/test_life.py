"""A case from its opening to its end, by the HTTP interface."""

import asyncio
from uuid import UUID

import pytest

from contracts.accounts import AccountRegistered
from contracts.orders import OrderShipped
from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Channel, Destination, Role
from runtime.observability.trace_context import new_id
from services.cs import api
from tests.harness.cs import CsHarness
from tests.harness.cs_events import cancelled


async def test_a_case_is_connected_at_once_when_an_agent_is_free(harness: CsHarness) -> None:
    """An agent on duty gets it; the buyer reads who it is."""
    agent, buyer = harness.agent(), harness.buyer()
    for person, role, name in ((agent, Role.AGENT, "Dewi"), (buyer, Role.BUYER, "Budi")):
        await harness.publisher.publish_as(
            "accounts", AccountRegistered(account_id=person.account_id, role=role, name=name)
        )
    await agent.duty()
    case = await buyer.open_case()
    assert (case["state"], case["agent_id"], case["position"]) == ("active", str(agent.account_id), None)
    assert (case["agent_name"], case["buyer_name"]) == ("Dewi", "Budi")
    messages = (await buyer.get(f"/cs/cases/{case['case_id']}/messages"))["items"]
    assert [message["text"] for message in messages] == ["Penjual tidak menjawab.", "Dewi bergabung."]


async def test_with_nobody_on_duty_a_case_waits_and_says_so(harness: CsHarness) -> None:
    """The place in the queue is that of arrival, and the next agent on duty gets the first ones."""
    buyers = [harness.buyer() for _ in range(5)]
    cases = [await buyer.open_case() for buyer in buyers]
    assert [case["position"] for case in cases] == [1, 2, 3, 4, 5]
    assert cases[0]["agents_on_duty"] == 0
    assert await buyers[0].codes(cases[0]["case_id"]) == ["nobody_on_duty"]
    agent = harness.agent()
    queue = await agent.get("/cs/cases", state="waiting", limit=2)
    assert [case["case_id"] for case in queue["items"]] == [case["case_id"] for case in cases[:2]]
    queue = await agent.get("/cs/cases", state="waiting", cursor=queue["next"])
    assert [case["position"] for case in queue["items"]] == [3, 4, 5]
    assert await agent.duty() == {"on": True, "load": 3, "most": 3, "waiting": 2, "agents_on_duty": 1}
    assert [(await buyer.case(case["case_id"]))["position"] for buyer, case in zip(buyers, cases, strict=True)] == [
        None,
        None,
        None,
        1,
        2,
    ]


async def test_a_buyer_has_one_open_case(harness: CsHarness) -> None:
    """Asking again gets the same one, and says there what was asked; a keyed request that comes again gets its own
    answer, and is said once."""
    buyer = harness.buyer()
    keyed = {"json": {"text": "Halo"}, "headers": {"Idempotency-Key": "k"}}
    first = await buyer.ask("POST", "/cs/cases", **keyed)
    assert first.status_code == 201
    again = await buyer.post("/cs/cases", 200, text="Halo?")
    assert again["case_id"] == first.json()["case_id"]
    replayed = await buyer.ask("POST", "/cs/cases", **keyed)
    assert (replayed.status_code, replayed.json()) == (201, first.json())
    keyed = {"json": {"text": "Ada orang?"}, "headers": {"Idempotency-Key": "l"}}
    answers = [await buyer.ask("POST", "/cs/cases", **keyed) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    messages = (await buyer.get(f"/cs/cases/{again['case_id']}/messages"))["items"]
    assert [one["text"] for one in messages if one["kind"] == "text"] == ["Halo", "Halo?", "Ada orang?"]
    assert answers[0].json()["last_seq"] == messages[-1]["seq"]
    together = await asyncio.gather(*(buyer.ask("POST", "/cs/cases", json={"text": str(n)}) for n in range(5)))
    assert {answer.json()["case_id"] for answer in together} == {again["case_id"]}
    assert (await buyer.get("/cs/cases"))["items"][0]["last_seq"] == messages[-1]["seq"] + 5


async def test_a_buyer_hands_over_a_bounded_number_of_orders(
    harness: CsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a message in the case; beyond twenty an hour they are refused, and nothing is left of it. The one
    that the case is about already is no further one."""
    monkeypatch.setattr(api, "MAX_ORDERS", 3)
    buyer, _, case_id = await harness.active()
    first, second = [(await harness.order(buyer))[0] for _ in range(2)]
    path = f"/cs/cases/{case_id}/order"
    for order_id in (first, second, first):
        await buyer.post(path, order_id=order_id)
    await buyer.post(path, order_id=first)
    seq = (await buyer.case(case_id))["last_seq"]
    answer = await buyer.ask("POST", path, json={"order_id": second})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert ((await buyer.case(case_id))["last_seq"], (await buyer.case(case_id))["order_id"]) == (seq, first)
    await harness.fetch("update clock set shift = interval '1 hour'")
    await buyer.post(path, order_id=second)


async def test_messages_have_numbers_without_gaps(harness: CsHarness) -> None:
    """Also while waiting a buyer may write; a client that was away asks for what is behind its last."""
    buyer = harness.buyer()
    case = await buyer.open_case("satu")
    path = f"/cs/cases/{case['case_id']}/messages"
    await buyer.post(path, 201, text="dua")
    agent = await harness.agent_on_duty()
    await agent.post(path, 201, text="tiga")
    items = (await buyer.get(path))["items"]
    assert [(one["seq"], one["text"]) for one in items if one["kind"] == "text"] == [
        (1, "satu"),
        (3, "dua"),
        (5, "tiga"),
    ]
    assert [one["seq"] for one in (await agent.get(path, after=3))["items"]] == [4, 5]
    page = await agent.get(path, limit=2)
    assert ([one["seq"] for one in page["items"]], page["next"]) == ([1, 2], 2)


async def test_a_message_that_is_sent_again_under_its_key_counts_once(harness: CsHarness) -> None:
    """Thirty messages in ten seconds are enough; a repeat is none of them, and gets its answer also after them."""
    buyer = harness.buyer()
    path = f"/cs/cases/{(await buyer.open_case('satu'))['case_id']}/messages"
    keyed = {"json": {"text": "dua"}, "headers": {"Idempotency-Key": "k"}}
    answers = [await buyer.ask("POST", path, **keyed) for _ in range(40)]
    answers += [await buyer.ask("POST", path, json={"text": "!"}) for _ in range(30)]
    assert [answer.status_code for answer in answers] == [201] * 69 + [429]
    last = await buyer.ask("POST", path, **keyed)
    assert (last.status_code, last.text) == (201, answers[0].text)


async def test_the_order_must_be_the_buyers_own(harness: CsHarness) -> None:
    """One that is not known, or somebody else's, is not there; the agent then sees how the order stands."""
    buyer, agent, case_id = await harness.active()
    path = f"/cs/cases/{case_id}/order"
    foreign, _ = await harness.order(harness.buyer())
    for order_id in (foreign, str(new_id())):
        assert await buyer.refused(path, order_id=order_id) == "not_found"
    order_id, seller_id = await harness.order(buyer)
    assert await agent.refused(f"/cs/cases/{case_id}/contact-seller") == "no_order"
    await buyer.post(path, order_id=order_id)
    await buyer.post(path, order_id=order_id)
    order = (await agent.case(case_id))["order"]
    assert (order["status"], order["seller_id"], order["total"]) == ("processing", seller_id, 100)
    assert (await buyer.codes(case_id)).count("order_handed_over") == 1


async def test_the_seller_is_contacted_once_for_an_order(harness: CsHarness) -> None:
    """The seller hears the question and the time; a second letter is refused."""
    case = await harness.contacted()
    heard = await harness.recorder.wait_for("SellerContacted", case_id=case.case_id)
    assert heard["data"]["order_id"] == case.order_id
    assert heard["data"]["seller_id"] == case.seller_id
    assert heard["data"]["respond_by"].replace("Z", "+00:00") == case.respond_by.isoformat()
    assert await case.agent.refused(f"/cs/cases/{case.case_id}/contact-seller") == "already_contacted"
    assert await case.buyer.refused(
        f"/cs/cases/{case.case_id}/order", order_id=(await harness.order(case.buyer))[0]
    ) == ("wrong_state")
    assert (await case.agent.duty())["load"] == 0


async def test_an_order_on_its_way_is_not_asked_about(harness: CsHarness) -> None:
    """It cannot be cancelled any more (A), nor can one that is cancelled."""
    buyer, agent, case_id = await harness.active()
    order_id, seller_id = await harness.order(buyer)
    await buyer.post(f"/cs/cases/{case_id}/order", order_id=order_id)
    shipped = OrderShipped(order_id=UUID(order_id), seller_id=UUID(seller_id), at="2026-03-01T10:00:00Z")
    await harness.publisher.publish_as("orders", shipped)
    assert await agent.refused(f"/cs/cases/{case_id}/contact-seller") == "already_shipped"
    other, _ = await harness.order(buyer)
    await buyer.post(f"/cs/cases/{case_id}/order", order_id=other)
    await harness.publisher.publish_as("orders", cancelled(UUID(other), new_id(), Channel.APP))
    assert await agent.refused(f"/cs/cases/{case_id}/contact-seller") == "already_cancelled"
    assert (await buyer.case(case_id))["state"] == "active"


async def test_closing_and_rating(harness: CsHarness) -> None:
    """The agent ends it with an outcome, the buyer rates it once, and can then open another."""
    buyer, agent, case_id = await harness.active()
    assert await buyer.refused(f"/cs/cases/{case_id}/rate", rating=5) == "case_not_over"
    assert await agent.refused(f"/cs/cases/{case_id}/close", outcome="order_cancelled") == "order_not_cancelled"
    closed = await agent.post(f"/cs/cases/{case_id}/close", outcome="answered")
    assert (closed["state"], closed["outcome"]) == ("closed", "answered")
    assert await agent.post(f"/cs/cases/{case_id}/close", outcome="answered") == closed
    assert await agent.refused(f"/cs/cases/{case_id}/close", outcome="withdrawn") == "case_over"
    heard = await harness.recorder.wait_for("CaseClosed", case_id=case_id)
    assert heard["data"] == {"case_id": case_id, "order_id": None, "outcome": "answered"}
    assert heard["correlationid"] == closed["correlation_id"]
    for text in ("rating", "rating"):
        assert (await buyer.post(f"/cs/cases/{case_id}/rate", **{text: 4}))["rating"] == 4
    assert await buyer.refused(f"/cs/cases/{case_id}/rate", rating=5) == "already_rated"
    assert await buyer.refused(f"/cs/cases/{case_id}/messages", text="Halo") == "case_over"
    assert (await buyer.open_case())["case_id"] != case_id
    history = await agent.get("/cs/cases", buyer_id=str(buyer.account_id))
    assert [case["state"] for case in history["items"]] == ["active", "closed"]
    assert len((await agent.get("/cs/cases", state="closed"))["items"]) == 1


async def test_words_that_were_added_later_stop_no_case(harness: CsHarness) -> None:
    """A code, a channel or a destination of a later version: the case says what it can, and goes back to its agent."""
    case = await harness.contacted()
    order_id, buyer_id, refund_id = UUID(case.order_id), case.buyer.account_id, new_id()
    harness.recorder.rejects[case.order_id] = "sealed"  # type: ignore[assignment]
    await harness.run_out(case)
    await harness.becomes(case.case_id, "active")
    gone = cancelled(order_id, new_id(), Channel.APP).model_copy(update={"channel": "kiosk", "fault": "weather"})
    await harness.publisher.publish_as("orders", gone)
    ids = {"refund_id": refund_id, "order_id": order_id, "buyer_id": buyer_id, "destination": "gopay"}
    await harness.publisher.publish_as(
        "refunds", RefundDelayed(**ids, attempts=1, next_attempt_at="2026-03-01T10:00:00Z")
    )
    await harness.publisher.publish_as("refunds", RefundIssued(**ids, cancellation_id=new_id(), amount=100))
    messages = (await case.buyer.get(f"/cs/cases/{case.case_id}/messages"))["items"]
    told = {one["code"]: one for one in messages if one["code"]}
    assert told["cancel_rejected"]["text"] == "Pesanan tidak dapat dibatalkan."
    assert told["cancel_rejected"]["data"]["code"] == "sealed"
    assert told["order_cancelled"]["text"] == "Pesanan dibatalkan. Uang Anda dikembalikan sepenuhnya."
    assert told["order_cancelled"]["data"].items() >= {"channel": "kiosk", "fault": "weather"}.items()
    assert "gopay" in told["refund_delayed"]["text"]
    assert "gopay" in told["refund_issued"]["text"]
    assert await harness.fetch("select error from parked") == []


@pytest.mark.parametrize("rating", [0, 6, "5", 4.5, None])
async def test_a_rating_is_a_number_from_one_to_five(harness: CsHarness, rating: object) -> None:
    """Anything else is refused."""
    assert await harness.buyer().refused(f"/cs/cases/{new_id()}/rate", rating=rating) == "invalid_request"


async def test_the_refund_is_told_of_in_the_case(harness: CsHarness) -> None:
    """Late money is told of once, also when it is late for long, and then where it is; old news is none."""
    case = await harness.contacted()
    order_id, buyer_id, refund_id = UUID(case.order_id), case.buyer.account_id, new_id()
    await harness.publisher.publish_as("orders", cancelled(order_id, new_id(), Channel.CHAT))
    late = RefundDelayed(
        refund_id=refund_id,
        order_id=order_id,
        buyer_id=buyer_id,
        destination=Destination.DANA,
        attempts=1,
        next_attempt_at="2026-03-01T10:00:00Z",
    )
    issued = RefundIssued(
        refund_id=refund_id,
        cancellation_id=new_id(),
        order_id=order_id,
        buyer_id=buyer_id,
        amount=100,
        destination=Destination.DANA,
    )
    await harness.publisher.publish_as("refunds", late)
    await harness.publisher.publish_as("refunds", late)
    await harness.publisher.publish_as("refunds", issued, twice=True)
    await harness.publisher.publish_as(
        "refunds", issued
    )  # said again after a reminder: another event about the same refund
    assert (await case.buyer.codes(case.case_id))[-3:] == ["order_cancelled", "refund_delayed", "refund_issued"]
    last = (await case.buyer.get(f"/cs/cases/{case.case_id}/messages"))["items"][-1]
    assert last["data"] == {"refund_id": str(refund_id), "amount": 100, "destination": "dana"}
