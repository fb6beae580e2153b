"""Questions of customer service to the seller, in the order's thread, and their answers."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from contracts.cs import CaseClosed, Outcome
from tests.harness.chat import ChatHarness, Conversation
from tests.harness.waiting import eventually

REPLIED = "SellerReplied"


async def count_replies(harness: ChatHarness, conversation: Conversation) -> int:
    """The answers to customer service so far: all have arrived once a request that was published later has."""
    await conversation.cancel()
    await harness.recorder.wait_for(str(conversation.order_id), "OrderCancelRequested")
    return harness.recorder.names(str(conversation.order_id)).count(REPLIED)


async def test_the_question_stands_in_the_thread(harness: ChatHarness, conversation: Conversation) -> None:
    """The thread shows the question of customer service, and until when it waits."""
    case_id = uuid4()
    contacted = conversation.contacted(case_id, "Apakah pesanan bisa dibatalkan?")
    await harness.deliver(contacted)
    [shown] = await conversation.messages()
    assert (shown["kind"], shown["code"]) == ("system", "seller_contacted")
    assert "Apakah pesanan bisa dibatalkan?" in shown["text"]
    facts = {"case_id": str(case_id), "question": contacted.question, "respond_by": contacted.respond_by.isoformat()}
    assert shown["data"] == facts
    assert (await conversation.seen(conversation.seller))["unread"] == 1


@pytest.mark.parametrize("order_is_known", [True, False])
async def test_a_thread_is_made_for_the_question(harness: ChatHarness, order_is_known: bool) -> None:
    """Where buyer and seller have not talked yet, customer service's question opens their thread. A question that
    arrives before its order waits for it: events of `cs` may arrive before those of `orders`."""
    deal = harness.deal()
    first, second = deal.placed(), deal.contacted(uuid4())
    await harness.deliver(first if order_is_known else second)
    assert (await deal.seller.get("/chat/threads"))["items"] == []
    await harness.deliver(second if order_is_known else first)
    [thread] = (await deal.seller.get("/chat/threads"))["items"]
    assert thread["last_message"]["code"] == "seller_contacted"
    again = await deal.buyer.ask("POST", "/chat/threads", {"order_id": str(deal.order_id)})
    assert (again.status_code, again.json()["thread_id"]) == (200, thread["thread_id"])


async def test_the_sellers_answer_is_published_once(harness: ChatHarness, conversation: Conversation) -> None:
    """The seller's first text after the question publishes `SellerReplied`; other texts do not."""
    case_id, order_id = uuid4(), str(conversation.order_id)
    await conversation.write(conversation.seller, "Sebelum ditanya")
    await harness.deliver(conversation.contacted(case_id))
    await conversation.write(conversation.buyer)
    assert harness.recorder.names(order_id) == []
    await conversation.write(conversation.seller, "Sedang kami siapkan")
    replied = await harness.recorder.wait_for(order_id, REPLIED)
    seller_id = str(conversation.seller.account_id)
    assert replied["data"] == {"case_id": str(case_id), "order_id": order_id, "seller_id": seller_id}
    await conversation.write(conversation.seller, "Besok dikirim")
    assert await count_replies(harness, conversation) == 1


async def test_a_guide_is_no_answer_to_customer_service(harness: ChatHarness, conversation: Conversation) -> None:
    """The guide answers the buyer; customer service waits for words."""
    await conversation.write(conversation.buyer)
    await harness.deliver(conversation.contacted(uuid4()))
    await conversation.guide()
    assert await count_replies(harness, conversation) == 0


async def test_a_demand_stands_until_it_is_answered(harness: ChatHarness, conversation: Conversation) -> None:
    """The thread shows what customer service demands, and `demanded` finds it, until the seller answers."""
    seller, case_id = conversation.seller, uuid4()

    async def demanded() -> list[Any]:
        return [thread["demand"] for thread in (await seller.get("/chat/threads", demanded=True))["items"]]

    assert ((await conversation.seen())["demand"], await demanded()) == (None, [])
    asked = conversation.contacted(case_id, "Kapan dikirim?")
    await harness.deliver(asked)
    [demand] = await demanded()
    assert demand == (await conversation.seen())["demand"]
    assert (demand["case_id"], demand["question"]) == (str(case_id), "Kapan dikirim?")
    assert datetime.fromisoformat(demand["respond_by"]) == asked.respond_by
    await conversation.write(seller)
    assert ((await conversation.seen())["demand"], await demanded()) == (None, [])


async def test_every_open_case_is_answered(harness: ChatHarness, conversation: Conversation) -> None:
    """When two cases ask about one order, one answer answers both; a new question needs a new answer."""
    first, second, order_id = uuid4(), uuid4(), str(conversation.order_id)
    await harness.deliver(conversation.contacted(first), conversation.contacted(second))
    await conversation.write(conversation.seller)
    await harness.recorder.wait_for(order_id, REPLIED, times=2)
    assert {event["data"]["case_id"] for event in harness.recorder.about(order_id)} == {str(first), str(second)}
    await harness.deliver(conversation.contacted(first, "Kapan tepatnya?"))
    await conversation.write(conversation.seller)
    assert (await harness.recorder.wait_for(order_id, REPLIED, times=3))["data"]["case_id"] == str(first)


async def test_a_question_that_is_asked_again_is_asked_once(harness: ChatHarness, conversation: Conversation) -> None:
    """A repeated question is shown once. If the seller has answered it, `SellerReplied` is published again."""
    asked, order_id = conversation.contacted(uuid4()), str(conversation.order_id)
    await harness.deliver(asked, asked)
    assert await conversation.codes() == ["seller_contacted"]
    await conversation.write(conversation.seller, "Besok dikirim")
    await harness.recorder.wait_for(order_id, REPLIED)
    await harness.deliver(asked)
    first, second = (await harness.recorder.wait_for(order_id, REPLIED, times=2)), harness.recorder.about(order_id)[-1]
    assert first["data"] == second["data"]
    assert await conversation.codes() == ["seller_contacted", "Besok dikirim"]


async def test_a_case_asks_about_one_order_after_another(harness: ChatHarness, conversation: Conversation) -> None:
    """The question about the second order stands in that order's thread, also when the first is asked again then."""
    case_id, other = uuid4(), await harness.conversation()
    first, second = conversation.contacted(case_id), other.contacted(case_id)
    await harness.deliver(first, second, first)
    assert await conversation.codes() == await other.codes() == ["seller_contacted"]
    await other.write(other.seller)
    replied = await harness.recorder.wait_for(str(other.order_id), REPLIED)
    assert replied["data"]["order_id"] == str(other.order_id)


async def test_a_case_that_turned_to_another_order_does_not_end_in_its_thread(
    harness: ChatHarness, conversation: Conversation
) -> None:
    """A case that was closed before the second order's seller was asked is nothing to that seller."""
    case_id, other = uuid4(), await harness.conversation()
    await harness.deliver(conversation.contacted(case_id))
    await conversation.write(conversation.seller)
    await harness.deliver(other.closed(case_id, Outcome.WITHDRAWN))
    assert "case_closed" not in await other.codes()


async def test_an_answer_and_the_end_of_a_case_do_not_deadlock(
    harness: ChatHarness, conversation: Conversation, deadlocks: list[str]
) -> None:
    """The seller answers in the moment in which the case is closed: both have the thread first, then its questions."""
    cases = [uuid4() for _ in range(3)]
    await harness.deliver(*(conversation.contacted(case_id) for case_id in cases))
    for case_id in cases:
        async with harness.service.uow.begin() as tx:  # as the seller's answer does
            await tx.connection.execute("update threads set asked = asked where thread_id = $1", conversation.thread_id)
            closing = asyncio.create_task(harness.deliver(conversation.closed(case_id)))
            await eventually(lambda: harness.fetch("select from pg_locks where not granted"))
            await tx.connection.execute("update questions set state = state where case_id = $1", case_id)
        await closing
    assert deadlocks == []
    assert (await conversation.codes()).count("case_closed") == 3


async def test_a_closed_case_takes_no_answer(harness: ChatHarness, conversation: Conversation) -> None:
    """The thread shows that the case is closed; the seller's texts are no answers from then on."""
    case_id = uuid4()
    await harness.deliver(conversation.contacted(case_id), conversation.closed(case_id, Outcome.WITHDRAWN))
    shown = (await conversation.messages())[-1]
    assert (shown["code"], shown["data"]) == ("case_closed", {"case_id": str(case_id), "outcome": "withdrawn"})
    await conversation.write(conversation.seller)
    assert await count_replies(harness, conversation) == 0


async def test_a_case_without_a_question_is_not_the_threads_business(
    harness: ChatHarness, conversation: Conversation
) -> None:
    """A case in which the seller was never asked is closed without a word; so is one without an order."""
    await harness.deliver(conversation.closed(uuid4()))
    await harness.deliver(CaseClosed(case_id=uuid4(), order_id=None, outcome=Outcome.ANSWERED))
    assert await conversation.messages() == []


async def test_a_case_closed_before_its_question_came_is_closed(
    harness: ChatHarness, conversation: Conversation
) -> None:
    """A question that arrives after the end of its case is not asked any more."""
    case_id = uuid4()
    await harness.deliver(conversation.closed(case_id), conversation.contacted(case_id))
    assert await conversation.messages() == []
