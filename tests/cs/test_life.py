"""A case from its opening to its end, by the HTTP interface."""

import asyncio

import pytest

from contracts.accounts import AccountRegistered
from contracts.words import Channel, Role
from runtime.observability.trace_context import new_id
from services.cs import agents, api
from tests.harness.cs import CsHarness
from tests.harness.deals import PRICE


async def test_a_case_is_connected_at_once_when_an_agent_is_free(harness: CsHarness) -> None:
    """A new case is with a free agent at once, and shows the name."""
    agent, buyer = harness.agent(), harness.buyer()
    for person, role, name in ((agent, Role.AGENT, "Dewi"), (buyer, Role.BUYER, "Budi")):
        await harness.deliver(AccountRegistered(account_id=person.account_id, role=role, name=name))
    await agent.duty()
    case = await buyer.open_case()
    assert (case["state"], case["agent_id"], case["position"]) == ("active", str(agent.account_id), None)
    assert (case["agent_name"], case["buyer_name"]) == ("Dewi", "Budi")
    texts = [message["text"] for message in await buyer.messages(case["case_id"])]
    assert texts == ["Penjual tidak menjawab.", "Dewi bergabung."]


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
    shown = [await buyer.case(case["case_id"]) for buyer, case in zip(buyers, cases, strict=True)]
    assert [case["position"] for case in shown] == [None, None, None, 1, 2]


async def test_a_case_shows_who_waits_for_an_answer(harness: CsHarness) -> None:
    """A case has the last text of a person, and the time of the buyer's first text that no agent has answered."""
    agent, buyer = await harness.agent_on_duty(), harness.buyer()
    path = f"/cs/cases/{(await buyer.open_case())['case_id']}"
    [opened, joined] = await buyer.messages(path.rpartition("/")[2])
    assert joined["kind"] == "system"
    again = await buyer.send(f"{path}/messages", 201, text="Halo?")
    [shown] = (await agent.get("/cs/cases", state="active"))["items"]
    assert (shown["last_text"], shown["waits_since"]) == (again, opened["at"])
    answer = await agent.send(f"{path}/messages", 201, text="Sebentar ya, Kak.")
    shown = await agent.get(path)
    assert (shown["last_text"], shown["waits_since"]) == (answer, None)
    thanks = await buyer.send(f"{path}/messages", 201, text="Baik, terima kasih.")
    assert (await agent.get(path))["waits_since"] == thanks["at"]
    assert (await agent.send(f"{path}/close", outcome="answered"))["waits_since"] is None


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
    messages = await buyer.messages(again["case_id"])
    assert [one["text"] for one in messages if one["kind"] == "text"] == ["Halo", "Halo?", "Ada orang?"]
    assert answers[0].json()["last_seq"] == messages[-1]["seq"]
    at_once = await asyncio.gather(*(buyer.ask("POST", "/cs/cases", {"text": str(n)}) for n in range(5)))
    assert {answer.json()["case_id"] for answer in at_once} == {again["case_id"]}
    assert (await buyer.get("/cs/cases"))["items"][0]["last_seq"] == messages[-1]["seq"] + 5


async def test_a_buyer_hands_over_a_bounded_number_of_orders(
    harness: CsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders beyond the limit for an hour are refused without a trace; the order that the case is about already does
    not count."""
    monkeypatch.setattr(api, "MAX_ORDERS", 3)
    case = await harness.active()
    first, second = [str((await harness.order(case.buyer)).order_id) for _ in range(2)]
    path = f"{case.path}/order"
    for order_id in (first, second, first, first):
        await case.buyer.send(path, order_id=order_id)
    before = await case.seen()
    answer = await case.buyer.ask("POST", path, {"order_id": second})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert await case.seen() == before
    assert before["order_id"] == first
    await harness.fetch("update clock set shift = interval '1 hour'")
    await case.buyer.send(path, order_id=second)


async def test_messages_have_numbers_without_gaps(harness: CsHarness) -> None:
    """Messages have consecutive numbers, also while the case waits; `after` gets those behind a number."""
    buyer = harness.buyer()
    case_id = (await buyer.open_case("satu"))["case_id"]
    path = f"/cs/cases/{case_id}/messages"
    await buyer.send(path, 201, text="dua")
    agent = await harness.agent_on_duty()
    await agent.send(path, 201, text="tiga")
    texts = [(one["seq"], one["text"]) for one in await buyer.messages(case_id) if one["kind"] == "text"]
    assert texts == [(1, "satu"), (3, "dua"), (5, "tiga")]
    assert [one["seq"] for one in (await agent.get(path, after=3))["items"]] == [4, 5]
    page = await agent.get(path, limit=2)
    assert ([one["seq"] for one in page["items"]], page["next"]) == ([1, 2], 2)


async def test_a_message_that_is_sent_again_under_its_key_counts_once(harness: CsHarness) -> None:
    """A repeat of a keyed message does not count against the rate limit, and gets its answer beyond it."""
    buyer = harness.buyer()
    path = f"/cs/cases/{(await buyer.open_case('satu'))['case_id']}/messages"
    keyed = ({"text": "dua"}, "k")
    answers = [await buyer.ask("POST", path, *keyed) for _ in range(40)]
    answers += [await buyer.ask("POST", path, {"text": "!"}) for _ in range(30)]
    assert [answer.status_code for answer in answers] == [201] * 69 + [429]
    last = await buyer.ask("POST", path, *keyed)
    assert (last.status_code, last.text) == (201, answers[0].text)


async def test_a_buyer_with_an_open_case_waits_for_no_turn(harness: CsHarness) -> None:
    """While others give and take cases, opening another one writes into the open one, or is refused beyond the limit,
    at once."""
    buyer = harness.buyer()
    await buyer.open_case()
    async with asyncio.timeout(10), harness.cases.turn, harness.service.uow.begin() as tx:
        await agents.in_turn(tx)
        answers = [await buyer.ask("POST", "/cs/cases", {"text": "Halo?"}) for _ in range(31)]
    assert [answer.status_code for answer in answers] == [200] * 30 + [429]


async def test_the_order_must_be_the_buyers_own(harness: CsHarness) -> None:
    """An unknown or foreign order is refused; the agent sees the status of the buyer's own."""
    case = await harness.active()
    foreign, deal = await harness.order(harness.buyer()), await harness.order(case.buyer)
    for order_id in (foreign.order_id, new_id()):
        assert await case.buyer.refused(f"{case.path}/order", order_id=str(order_id)) == "not_found"
    assert await case.agent.refused(f"{case.path}/contact-seller") == "no_order"
    for _ in range(2):
        await case.buyer.send(f"{case.path}/order", order_id=str(deal.order_id))
    order = (await case.agent.case(case.case_id))["order"]
    seller_id = str(deal.seller.account_id)
    assert (order["status"], order["seller_id"], order["total"]) == ("processing", seller_id, PRICE)
    assert (await case.codes()).count("order_handed_over") == 1


async def test_the_seller_is_contacted_once_for_an_order(harness: CsHarness) -> None:
    """`SellerContacted` carries the question and the time; a second contact is refused."""
    case = await harness.contacted()
    contacted = (await harness.recorder.first("SellerContacted", case_id=case.case_id))["data"]
    assert (contacted["order_id"], contacted["seller_id"]) == (case.order_id, str(case.deal.seller.account_id))
    assert contacted["respond_by"].replace("Z", "+00:00") == case.respond_by.isoformat()
    assert await case.agent.refused(f"{case.path}/contact-seller") == "already_contacted"
    other = str((await harness.order(case.buyer)).order_id)
    assert await case.buyer.refused(f"{case.path}/order", order_id=other) == "wrong_state"
    assert (await case.agent.duty())["load"] == 0


async def test_an_order_on_its_way_is_not_asked_about(harness: CsHarness) -> None:
    """A seller is not contacted about an order that is on its way (A), or cancelled."""
    case = await harness.active()
    for code in ("already_shipped", "already_cancelled"):
        deal = await harness.order(case.buyer)
        await case.buyer.send(f"{case.path}/order", order_id=str(deal.order_id))
        await harness.deliver(deal.moved("shipped") if code == "already_shipped" else deal.cancelled())
        assert await case.agent.refused(f"{case.path}/contact-seller") == code
    assert (await case.seen())["state"] == "active"


async def test_closing_and_rating(harness: CsHarness) -> None:
    """An agent closes a case with an outcome; its buyer rates it once, and can open another."""
    case = await harness.active()
    buyer, agent = case.buyer, case.agent
    assert await buyer.refused(f"{case.path}/rate", rating=5) == "case_not_over"
    assert await agent.refused(f"{case.path}/close", outcome="order_cancelled") == "order_not_cancelled"
    closed = await case.close("answered")
    assert (closed["state"], closed["outcome"]) == ("closed", "answered")
    assert await case.close("answered") == closed
    assert await agent.refused(f"{case.path}/close", outcome="withdrawn") == "case_over"
    end = await harness.recorder.first("CaseClosed", case_id=case.case_id)
    assert end["data"] == {"case_id": case.case_id, "order_id": None, "outcome": "answered"}
    assert end["correlationid"] == closed["correlation_id"]
    for _ in range(2):
        assert (await buyer.send(f"{case.path}/rate", rating=4))["rating"] == 4
    assert await buyer.refused(f"{case.path}/rate", rating=5) == "already_rated"
    assert await buyer.refused(f"{case.path}/messages", text="Halo") == "case_over"
    assert (await buyer.open_case())["case_id"] != case.case_id
    history = await agent.get("/cs/cases", buyer_id=str(buyer.account_id))
    assert [one["state"] for one in history["items"]] == ["active", "closed"]
    assert len((await agent.get("/cs/cases", state="closed"))["items"]) == 1


async def test_words_that_were_added_later_stop_no_case(harness: CsHarness) -> None:
    """Codes, channels, destinations and payment methods of a later version do not stop a case: it shows what it
    knows."""
    case, refund_id = await harness.contacted(), new_id()
    await harness.deliver(case.deal.placed().model_copy(update={"payment_method": "gopay"}))
    assert (await case.seen())["order"]["payment_method"] == "gopay"
    harness.recorder.rejects[case.order_id] = "sealed"  # type: ignore[assignment]
    await harness.run_out(case)
    await harness.becomes(case.case_id, "active")
    await harness.deliver(case.deal.cancelled().model_copy(update={"channel": "kiosk", "fault": "weather"}))
    for event in (case.deal.delayed(refund_id), case.deal.refunded(refund_id)):
        await harness.deliver(event.model_copy(update={"destination": "gopay"}))
    shown = {one["code"]: one for one in await case.messages() if one["code"]}
    assert shown["cancel_rejected"]["text"] == "Pesanan tidak dapat dibatalkan."
    assert shown["cancel_rejected"]["data"]["code"] == "sealed"
    assert shown["order_cancelled"]["text"] == "Pesanan dibatalkan. Uang Anda dikembalikan sepenuhnya."
    assert shown["order_cancelled"]["data"].items() >= {"channel": "kiosk", "fault": "weather"}.items()
    assert "gopay" in shown["refund_delayed"]["text"]
    assert "gopay" in shown["refund_issued"]["text"]
    assert await harness.fetch("select error from parked") == []


async def test_an_outcome_of_a_newer_replica_is_shown_as_it_is(harness: CsHarness) -> None:
    """While cs is rolled out, an older replica shows, and keeps, an outcome that it does not know."""
    case = await harness.active()
    await case.close()
    await harness.fetch("update cases set outcome = 'escalated' where case_id = $1", case.case_id)
    assert (await case.seen())["outcome"] == "escalated"
    assert (await case.buyer.send(f"{case.path}/rate", rating=4))["outcome"] == "escalated"


@pytest.mark.parametrize("rating", [0, 6, "5", 4.5, None])
async def test_a_rating_is_a_number_from_one_to_five(harness: CsHarness, rating: object) -> None:
    """A rating that is no whole number from 1 to 5 is refused."""
    assert await harness.buyer().refused(f"/cs/cases/{new_id()}/rate", rating=rating) == "invalid_request"


async def test_the_refund_is_shown_in_the_case(harness: CsHarness) -> None:
    """A case shows a delay of its refund once, then once that the money has arrived. Repeats, and a delay from before
    it, add no message."""
    case, refund_id = await harness.contacted(), new_id()
    late, issued = case.deal.delayed(refund_id), case.deal.refunded(refund_id, "dana")
    await harness.deliver(case.deal.cancelled(Channel.CHAT), late, late)
    await harness.deliver(issued, copies=2)
    await harness.deliver(issued, late)  # after a reminder: another event about the same refund
    assert (await case.codes())[-3:] == ["order_cancelled", "refund_delayed", "refund_issued"]
    shown = (await case.messages())[-1]["data"]
    assert shown == {"refund_id": str(refund_id), "amount": PRICE, "destination": "dana"}
