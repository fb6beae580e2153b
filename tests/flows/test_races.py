"""All at once: the buyer cancels in the app, the seller in the chat, and the 24 hours run out at customer service."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.harness.actors import Agent, Buyer, Person, Seller
from tests.harness.customer_service import ContactedCase, contacted, messages
from tests.harness.event_recorder import EventRecorder
from tests.harness.system import SystemUnderTest, gathered
from tests.harness.waiting import eventually

AT_ONCE = 12
SOON = 0.5
"""Seconds within which some buyers and sellers begin; the others begin when customer service does."""
RUN_OUT = """
with over as (update cases set respond_by = clock_now() where case_id = any($1::uuid[]) returning case_id),
told as (update messages set data = data || jsonb_build_object('respond_by', clock_now())
         where code = 'seller_contacted' and case_id in (select case_id from over))
update deadlines set due_at = clock_now() where subject in (select case_id::text from over)
"""
"""The 24 hours of these cases are over now. Moving the clock would end the buyers' own 24 hours as well."""


@dataclass(frozen=True)
class Race:
    """One order with three concurrent requests to cancel, and the answers to two of them."""

    case: ContactedCase
    app: httpx.Response
    chat: httpx.Response


@pytest.mark.timeout(480)
async def test_buyer_seller_and_the_24_hours(system: SystemUnderTest, recorder: EventRecorder) -> None:
    """There is one cancellation, one refund and one channel; thread and case name it, and no other."""
    races, wave = (100, 50) if system.full else (20, 20)
    seller = Seller.signed(system.http, system.keys, "seller")
    product = await seller.offer()
    agents = [Agent.signed(system.http, system.keys, "agent") for _ in range(AT_ONCE)]
    for agent in agents:
        await agent.duty()
    buyers = [Buyer.signed(system.http, system.keys, "buyer") for _ in range(wave)]
    before, winners = await system.settled(), Counter[str]()
    for _ in range(races // wave):
        orders = await gathered([buyer.buy(product) for buyer in buyers], AT_ONCE)
        pairs = zip(buyers, orders, strict=True)
        cases = await gathered([contacted(buyer, agents, seller, order) for buyer, order in pairs], AT_ONCE)
        ran = await all_at_once(system, recorder, cases, seller)
        winners.update(await gathered([truth(one, seller, recorder) for one in ran], AT_ONCE))
    after = await system.settled(60)
    assert (after.broken, after.ledger_sum) == ([], 0)
    assert after.refunds - before.refunds == after.cancelled_paid_orders - before.cancelled_paid_orders == races
    assert after.refunded - before.refunded == races * 189_000
    score = await seller.score()
    assert score["cancellations"] == {"seller": winners["chat"] + winners["cs"], "buyer": winners["app"], "platform": 0}
    assert winners.total() == races
    assert not system.full or winners.keys() == {"app", "chat", "cs"}, winners
    for agent in agents:
        await agent.duty(False)


async def all_at_once(
    system: SystemUnderTest, recorder: EventRecorder, cases: list[ContactedCase], seller: Seller
) -> list[Race]:
    """The 24 hours run out; some buyers and sellers ask a little earlier than customer service."""
    await system.run("cs", RUN_OUT, [case.case_id for case in cases])
    orders, asks = {case.order_id for case in cases}, asyncio.Event()
    known = len(recorder.events)

    async def cs_asks() -> bool:
        system.hurry()
        requests = (one for one in recorder.events[known:] if one["type"] == "OrderCancelRequested")
        return any(one["source"] == "cs" and one["subject"] in orders for one in requests)

    async def race(number: int, case: ContactedCase) -> Race:
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, SOON) if number % 3 == 0 else None):
                await asks.wait()
        chat = asyncio.create_task(seller.ask("POST", f"/chat/threads/{case.thread_id}/cancel"))
        await asyncio.sleep(random.uniform(0, 0.1))  # the seller's way to `orders` is longer
        return Race(case, await case.buyer.cancel(case.order_id), await chat)

    racing = asyncio.gather(*(race(number, case) for number, case in enumerate(cases)))
    await eventually(cs_asks, every=0.02)
    asks.set()
    return await racing


async def truth(race: Race, seller: Seller, recorder: EventRecorder) -> str:
    """Compares every answer and message with the one cancellation; returns its channel."""
    case, thread = race.case, f"/chat/threads/{race.case.thread_id}"
    assert race.chat.status_code in (202, 409), race.chat.text
    accepted = {race.chat.json()["cancellation_id"]} if race.chat.status_code == 202 else set()
    asked = await all_answered(case, recorder, accepted)
    cancellation = (await case.buyer.order(case.order_id))["cancellation"]
    channel, mine = cancellation["channel"], cancellation["cancellation_id"]
    assert race.app.status_code == 200, race.app.text
    answered = race.app.json()["cancellation"]
    assert (answered["cancellation_id"], answered["channel"]) == (mine, channel)
    by_chat = {one["data"]["cancellation_id"] for one in asked if one["data"]["channel"] == "chat"}
    by_cs = {one["data"]["cancellation_id"] for one in asked if one["data"]["channel"] == "cs"}
    assert by_chat == accepted
    assert accepted or race.chat.json()["code"] == "already_cancelled"

    async def system_messages(person: Person, path: str, refused: bool) -> list[dict[str, Any]] | None:
        items = [one for one in await messages(person, path) if one["kind"] == "system"]
        said = Counter(one["code"] for one in items)
        whole = said["refund_issued"] and said["cancel_rejected"] >= refused
        return items if whole and said["order_cancelled"] else None

    case_path = f"/cs/cases/{case.case_id}"
    in_thread = await eventually(lambda: system_messages(seller, thread, bool(by_chat - {mine})), every=0.05)
    in_case = await eventually(lambda: system_messages(case.buyer, case_path, bool(by_cs - {mine})), every=0.05)
    for items, rejections in ((in_thread, by_chat - {mine}), (in_case, by_cs - {mine})):
        said = Counter(str(one["code"]) for one in items)
        assert (said["order_cancelled"], said["refund_issued"], said["cancel_rejected"]) == (1, 1, len(rejections))
        (named,) = [one["data"] for one in items if one["code"] == "order_cancelled"]
        assert (named["cancellation_id"], named["channel"]) == (mine, channel)
        assert named.get("ours", channel == "cs") == (channel == "cs")
        for one in items:
            if one["code"] == "cancel_rejected":
                assert one["data"].get("rejection", one["data"].get("code")) == "already_cancelled"
    assert (await seller.get(thread))["pending_cancellation"] is None
    assert (await case.now())["outcome"] == "order_cancelled"
    return str(channel)


async def all_answered(case: ContactedCase, recorder: EventRecorder, accepted: set[str]) -> list[dict[str, Any]]:
    """The requests about the order, the accepted ones among them, once each has been answered; exactly one of the
    answers grants it."""

    async def look() -> list[dict[str, Any]] | None:
        about = recorder.about(case.order_id)
        asked = [one for one in about if one["type"] == "OrderCancelRequested"]
        answers = [one for one in about if one["type"] in ("OrderCancelled", "OrderCancelRejected")]
        ids = {one["data"]["cancellation_id"] for one in asked}
        refunded = any(one["type"] == "RefundIssued" for one in about)
        decided = {one["data"]["cancellation_id"] for one in answers}
        return asked if refunded and accepted <= ids <= decided else None

    asked = await eventually(look, every=0.05)
    kinds = Counter(one["type"] for one in recorder.about(case.order_id))
    assert (kinds["OrderCancelled"], kinds["RefundIssued"]) == (1, 1)
    return asked
