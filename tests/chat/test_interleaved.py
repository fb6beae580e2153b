"""What people do in a thread while a transaction that they do not see yet changes it: they wait, and then see it."""

import asyncio
from uuid import UUID, uuid4

import pytest

from services.chat import store
from services.chat.domain import Draft, Kind
from services.chat.store import Posted
from services.chat.thread_writer import ThreadWriter
from tests.harness.chat import ChatHarness, Conversation
from tests.harness.waiting import Gate, blocked


async def test_a_text_that_waits_for_a_question_answers_it(
    harness: ChatHarness, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that the seller sends while the question of customer service is written stands behind it, and answers
    it."""
    gate = Gate(monkeypatch, ThreadWriter, "announce_questions")
    asking = asyncio.create_task(harness.deliver(conversation.contacted(uuid4())))
    await gate.reached.wait()
    writing = asyncio.create_task(conversation.write(conversation.seller, "Besok dikirim"))
    await blocked(harness.fetch)
    gate.opened.set()
    await asyncio.gather(asking, writing)
    assert await conversation.codes() == ["seller_contacted", "Besok dikirim"]
    await conversation.cancel()
    await harness.recorder.wait_for(str(conversation.order_id), "OrderCancelRequested")
    assert harness.recorder.names(str(conversation.order_id)).count("SellerReplied") == 1


@pytest.mark.parametrize(("action", "code"), [("guide", "wrong_state"), ("cancel", "already_shipped")])
async def test_what_waits_for_the_order_to_ship_is_refused(
    harness: ChatHarness, conversation: Conversation, monkeypatch: pytest.MonkeyPatch, action: str, code: str
) -> None:
    """A guide or a request that comes while the thread learns that its order has shipped is decided by that."""
    await conversation.write(conversation.buyer)
    gate = Gate(monkeypatch, ThreadWriter, "send")
    shipping = asyncio.create_task(harness.deliver(conversation.moved("shipped")))
    await gate.reached.wait()
    acting = asyncio.create_task(conversation.refuses(action, code))
    await blocked(harness.fetch)
    gate.opened.set()
    await asyncio.gather(shipping, acting)


async def test_a_text_that_waits_until_thanks_are_due_pays_them(
    harness: ChatHarness, conversation: Conversation
) -> None:
    """A text that the buyer sends while thanks become due takes the offered replies back, and says so."""
    draft, uow = Draft(Kind.TEXT, conversation.buyer.account_id, "Terima kasih"), harness.service.uow

    async def write() -> Posted | None:
        async with uow.begin() as tx:
            return await store.post(tx, UUID(conversation.thread_id), draft)

    async with uow.begin() as tx:
        await store.owe_thanks(tx, UUID(conversation.thread_id))
        writing = asyncio.create_task(write())
        await blocked(harness.fetch)
    posted = await writing
    assert posted
    assert posted.thanked
    assert (await conversation.seen())["quick_replies"] == []
