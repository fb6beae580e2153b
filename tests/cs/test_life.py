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
from tests.harness.cs_actors import cancelled


async def test_a_case_is_connected_at_once_when_an_agent_is_free(harness: CsHarness) -> None:
    """A new case is with a free agent at once, and shows the name."""
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


async def test_without_an_agent_on_duty_a_case_waits(harness: CsHarness) -> None:
    """Cases wait in the order of arrival, and the next agent on duty gets the first ones."""
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
    """A second opening adds its message to the open case; a repeated keyed request gets its own answer and adds
    nothing."""
    buyer = harness.buyer()
    keyed = ({"text": "Halo"}, "k")
    first = await buyer.ask("POST", "/cs/cases", *keyed)
    assert first.status_code == 201
    again = await buyer.send("/cs/cases", 200, text="Halo?")
    assert again["case_id"] == first.json()["case_id"]
    replayed = await buyer.ask("POST", "/cs/cases", *keyed)
    assert (replayed.status_code, replayed.json()) == (201, first.json())
    keyed = ({"text": "Ada orang?"}, "l")
    answers = [await buyer.ask("POST", "/cs/cases", *keyed) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    messages = (await buyer.get(f"/cs/cases/{again['case_id']}/messages"))["items"]
    assert [one["text"] for one in messages if one["kind"] == "text"] == ["Halo", "Halo?", "Ada orang?"]
    assert answers[0].json()["last_seq"] == messages[-1]["seq"]
    at_once = await asyncio.gather(*(buyer.ask("POST", "/cs/cases", json={"text": str(n)}) for n in range(5)))
    assert {answer.json()["case_id"] for answer in at_once} == {again["case_id"]}
    assert (await buyer.get("/cs/cases"))["items"][0]["last_seq"] == messages[-1]["seq"] + 5


async def test_a_buyer_hands_over_a_bounded_number_of_orders(
    harness: CsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders beyond the limit for an hour are refused without a trace; the order that the case is about already does
    not count."""
    monkeypatch.setattr(api, "MAX_ORDERS", 3)
    buyer, _, case_id = await harness.active()
    first, second = [(await harness.order(buyer))[0] for _ in range(2)]
    path = f"/cs/cases/{case_id}/order"
    for order_id in (first, second, first):
        await buyer.send(path, order_id=order_id)
    await buyer.send(path, order_id=first)
    seq = (await buyer.case(case_id))["last_seq"]
    answer = await buyer.ask("POST", path, json={"order_id": second})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert ((await buyer.case(case_id))["last_seq"], (await buyer.case(case_id))["order_id"]) == (seq, first)
    await harness.fetch("update clock set shift = interval '1 hour'")
    await buyer.send(path, order_id=second)


async def test_messages_have_numbers_without_gaps(harness: CsHarness) -> None:
    """Messages have consecutive numbers, also while the case waits; `after` gets those behind a number."""
    buyer = harness.buyer()
    case = await buyer.open_case("satu")
    path = f"/cs/cases/{case['case_id']}/messages"
    await buyer.send(path, 201, text="dua")
    agent = await harness.agent_on_duty()
    await agent.send(path, 201, text="tiga")
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
    """A repeat of a keyed message does not count against the rate limit, and gets its answer beyond it."""
    buyer = harness.buyer()
    path = f"/cs/cases/{(await buyer.open_case('satu'))['case_id']}/messages"
    keyed = ({"text": "dua"}, "k")
    answers = [await buyer.ask("POST", path, *keyed) for _ in range(40)]
    answers += [await buyer.ask("POST", path, json={"text": "!"}) for _ in range(30)]
    assert [answer.status_code for answer in answers] == [201] * 69 + [429]
    last = await buyer.ask("POST", path, *keyed)
    assert (last.status_code, last.text) == (201, answers[0].text)


async def test_the_order_must_be_the_buyers_own(harness: CsHarness) -> None:
    """An unknown or foreign order is refused; the agent sees the status of the buyer's own."""
    buyer, agent, case_id = await harness.active()
    path = f"/cs/cases/{case_id}/order"
    foreign, _ = await harness.order(harness.buyer())
    for order_id in (foreign, str(new_id())):
        assert await buyer.refused(path, order_id=order_id) == "not_found"
    order_id, seller_id = await harness.order(buyer)
    assert await agent.refused(f"/cs/cases/{case_id}/contact-seller") == "no_order"
    await buyer.send(path, order_id=order_id)
    await buyer.send(path, order_id=order_id)
    order = (await agent.case(case_id))["order"]
    assert (order["status"], order["seller_id"], order["total"]) == ("processing", seller_id, 100)
    assert (await buyer.codes(case_id)).count("order_handed_over") == 1


async def test_the_seller_is_contacted_once_for_an_order(harness: CsHarness) -> None:
    """`SellerContacted` carries the question and the time; a second contact is refused."""
    case = await harness.contacted()
    contacted = await harness.recorder.first("SellerContacted", case_id=case.case_id)
    assert contacted["data"]["order_id"] == case.order_id
    assert contacted["data"]["seller_id"] == case.seller_id
    assert contacted["data"]["respond_by"].replace("Z", "+00:00") == case.respond_by.isoformat()
    assert await case.agent.refused(f"/cs/cases/{case.case_id}/contact-seller") == "already_contacted"
    assert await case.buyer.refused(
        f"/cs/cases/{case.case_id}/order", order_id=(await harness.order(case.buyer))[0]
    ) == ("wrong_state")
    assert (await case.agent.duty())["load"] == 0


async def test_an_order_on_its_way_is_not_asked_about(harness: CsHarness) -> None:
    """A seller is not contacted about an order that is on its way (A), or cancelled."""
    buyer, agent, case_id = await harness.active()
    order_id, seller_id = await harness.order(buyer)
    await buyer.send(f"/cs/cases/{case_id}/order", order_id=order_id)
    shipped = OrderShipped(order_id=UUID(order_id), seller_id=UUID(seller_id), at="2026-03-01T10:00:00Z")
    await harness.publisher.publish_as("orders", shipped)
    assert await agent.refused(f"/cs/cases/{case_id}/contact-seller") == "already_shipped"
    other, _ = await harness.order(buyer)
    await buyer.send(f"/cs/cases/{case_id}/order", order_id=other)
    await harness.publisher.publish_as("orders", cancelled(UUID(other), new_id(), Channel.APP))
    assert await agent.refused(f"/cs/cases/{case_id}/contact-seller") == "already_cancelled"
    assert (await buyer.case(case_id))["state"] == "active"


async def test_closing_and_rating(harness: CsHarness) -> None:
    """An agent closes a case with an outcome; its buyer rates it once, and can open another."""
    buyer, agent, case_id = await harness.active()
    assert await buyer.refused(f"/cs/cases/{case_id}/rate", rating=5) == "case_not_over"
    assert await agent.refused(f"/cs/cases/{case_id}/close", outcome="order_cancelled") == "order_not_cancelled"
    closed = await agent.send(f"/cs/cases/{case_id}/close", outcome="answered")
    assert (closed["state"], closed["outcome"]) == ("closed", "answered")
    assert await agent.send(f"/cs/cases/{case_id}/close", outcome="answered") == closed
    assert await agent.refused(f"/cs/cases/{case_id}/close", outcome="withdrawn") == "case_over"
    end = await harness.recorder.first("CaseClosed", case_id=case_id)
    assert end["data"] == {"case_id": case_id, "order_id": None, "outcome": "answered"}
    assert end["correlationid"] == closed["correlation_id"]
    for text in ("rating", "rating"):
        assert (await buyer.send(f"/cs/cases/{case_id}/rate", **{text: 4}))["rating"] == 4
    assert await buyer.refused(f"/cs/cases/{case_id}/rate", rating=5) == "already_rated"
    assert await buyer.refused(f"/cs/cases/{case_id}/messages", text="Halo") == "case_over"
    assert (await buyer.open_case())["case_id"] != case_id
    history = await agent.get("/cs/cases", buyer_id=str(buyer.account_id))
    assert [case["state"] for case in history["items"]] == ["active", "closed"]
    assert len((await agent.get("/cs/cases", state="closed"))["items"]) == 1


async def test_words_that_were_added_later_stop_no_case(harness: CsHarness) -> None:
    """Codes, channels and destinations of a later version do not stop a case: it shows what it knows."""
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
    shown = {one["code"]: one for one in messages if one["code"]}
    assert shown["cancel_rejected"]["text"] == "Pesanan tidak dapat dibatalkan."
    assert shown["cancel_rejected"]["data"]["code"] == "sealed"
    assert shown["order_cancelled"]["text"] == "Pesanan dibatalkan. Uang Anda dikembalikan sepenuhnya."
    assert shown["order_cancelled"]["data"].items() >= {"channel": "kiosk", "fault": "weather"}.items()
    assert "gopay" in shown["refund_delayed"]["text"]
    assert "gopay" in shown["refund_issued"]["text"]
    assert await harness.fetch("select error from parked") == []


@pytest.mark.parametrize("rating", [0, 6, "5", 4.5, None])
async def test_a_rating_is_a_number_from_one_to_five(harness: CsHarness, rating: object) -> None:
    """A rating that is no whole number from 1 to 5 is refused."""
    assert await harness.buyer().refused(f"/cs/cases/{new_id()}/rate", rating=rating) == "invalid_request"


async def test_the_refund_is_shown_in_the_case(harness: CsHarness) -> None:
    """A case shows a delay of its refund once, then that the money has arrived; repeats add no message."""
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
    await harness.publisher.publish_as("refunds", issued, copies=2)
    await harness.publisher.publish_as("refunds", issued)  # after a reminder: another event about the same refund
    assert (await case.buyer.codes(case.case_id))[-3:] == ["order_cancelled", "refund_delayed", "refund_issued"]
    last = (await case.buyer.get(f"/cs/cases/{case.case_id}/messages"))["items"][-1]
    assert last["data"] == {"refund_id": str(refund_id), "amount": 100, "destination": "dana"}
