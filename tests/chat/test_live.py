"""Live: messages reach both members at once, once and in order."""

import asyncio
import json
import logging
from typing import Any

import pytest
from websockets.asyncio.client import connect

from runtime.live import presence
from tests.harness.chat import ChatHarness, Conversation
from tests.harness.live_client import Listener, Messages, address, listening, ticket

BAD_IDS: tuple[object, ...] = (-1, 1.5, "1", None, [], {})
UNKNOWN = "3199a578-46ec-47a0-87dd-1b80035b2082"
"""A thread that does not exist."""


async def test_both_sides_get_every_message_once_and_in_order(conversation: Conversation, origin: str) -> None:
    """26 messages that both write at the same time come to both as 1, 2, 3, …, the same as in the history."""
    async with listening(conversation.buyer, origin) as buyer, listening(conversation.seller, origin) as seller:
        both = (conversation.buyer, conversation.seller)
        await asyncio.gather(*(conversation.write(who, f"{n}") for n in range(13) for who in both))
        history = await conversation.messages()
        for listener in (buyer, seller):
            await listener.has(conversation.thread_id, 26)
            assert listener.messages.of[conversation.thread_id] == history
            await listener.echo()
            frames = [frame["message"] for frame in listener.of("message")]
            # Two frames may change places when their transactions commit at the same moment; the client then fetches.
            assert sorted(frames, key=lambda message: message["seq"]) == history


async def test_all_ones_threads_come_over_one_socket(harness: ChatHarness, origin: str) -> None:
    """A seller's socket is sent the messages of all the seller's threads, also of one that is opened later."""
    seller = harness.actors.person("seller")
    deals = [harness.deal(seller=seller) for _ in range(3)]
    await harness.deliver(*(deal.placed() for deal in deals))
    talks = [await harness.about(deal) for deal in deals[:2]]
    async with listening(seller, origin) as listener:
        talks.append(await harness.about(deals[2]))
        thread = await listener.first("thread")
        assert (thread["thread_id"], thread["title"]) == (talks[2].thread_id, "Kemeja batik")
        await asyncio.gather(*(one.write(one.buyer, f"{n}") for n in range(3) for one in talks))
        for conversation in talks:
            await listener.has(conversation.thread_id, 3)


async def test_other_accounts_are_sent_nothing(harness: ChatHarness, conversation: Conversation, origin: str) -> None:
    """Strangers and agents are sent nothing of a thread; a stranger who follows it, or marks it as read, gets the error
    `not_found`."""
    stranger, agent = harness.actors.person("buyer"), harness.actors.person("agent")
    async with listening(stranger, origin) as outside, listening(agent, origin) as desk:
        await outside.send(type="follow", conversations=[conversation.thread_id])
        await outside.send(type="read", thread_id=conversation.thread_id, seq=1)
        await outside.until(lambda one: len(one.of("error")) == 2)
        assert [error["code"] for error in outside.of("error")] == ["not_found", "not_found"]
        await conversation.write(conversation.buyer)
        async with listening(conversation.seller, origin, {conversation.thread_id: 0}) as seller:
            await seller.has(conversation.thread_id, 1)
        for listener in (outside, desk):
            await listener.echo()
            assert not listener.of("message") + listener.of("thread")


async def test_an_agent_follows_a_thread(harness: ChatHarness, conversation: Conversation, origin: str) -> None:
    """An agent who follows a thread gets a hint with its last message, and further messages."""
    await conversation.write(conversation.buyer)
    async with listening(harness.actors.person("agent"), origin, follow=[conversation.thread_id]) as agent:
        await agent.has(conversation.thread_id, 1)
        await conversation.write(conversation.seller)
        await agent.has(conversation.thread_id, 2)
        assert (agent.of("hint")[0]["seq"], agent.sent(conversation.thread_id)) == (1, [2])


async def test_a_client_that_was_away_fetches_the_rest(conversation: Conversation, origin: str) -> None:
    """A client that connects fetches what it missed; messages that are written meanwhile come once, in order."""
    for number in range(25):
        await conversation.write(conversation.buyer if number % 2 else conversation.seller)

    writing = asyncio.gather(*(conversation.write(conversation.buyer) for _ in range(4)))
    async with listening(conversation.buyer, origin, {conversation.thread_id: 3}) as buyer:
        await buyer.has(conversation.thread_id, 29, first=4)
    await writing


async def test_history_longer_than_a_page_is_fetched_whole(
    harness: ChatHarness, conversation: Conversation, origin: str
) -> None:
    """450 missed messages are fetched page by page."""
    async with harness.service.uow.begin() as tx:
        await tx.connection.execute(
            "with m as (insert into messages (thread_id, seq, kind, sender_id, text, at) select thread_id, n, 'text', "
            "buyer_id, 'x', active_at from threads, generate_series(1, 450) n where thread_id = $1::uuid) "
            "update threads set last_seq = 450 where thread_id = $1::uuid",
            conversation.thread_id,
        )
    async with listening(conversation.seller, origin, {conversation.thread_id: 0}) as seller:
        await seller.has(conversation.thread_id, 450)


async def test_following_sends_a_hint(conversation: Conversation, origin: str) -> None:
    """A client that follows its own thread gets a hint each time, and each message once."""
    for _ in range(4):
        await conversation.write(conversation.buyer)
    async with listening(conversation.buyer, origin, follow=[conversation.thread_id]) as buyer:
        await buyer.has(conversation.thread_id, 4)
        await buyer.send(type="follow", conversations=[conversation.thread_id, conversation.thread_id])
        await buyer.until(lambda one: len(one.of("hint")) == 2)
        assert [hint["seq"] for hint in buyer.of("hint")] == [4, 4]
        assert buyer.messages.fetches == 1
        await conversation.write(conversation.seller)
        await buyer.has(conversation.thread_id, 5)
        assert buyer.sent(conversation.thread_id) == [5]


async def test_a_client_that_knows_nothing_sees_the_gap(conversation: Conversation, origin: str) -> None:
    """A client that has fetched nothing is sent new messages, and fetches the earlier ones."""
    await conversation.write(conversation.buyer)
    async with listening(conversation.seller, origin) as seller:
        await conversation.write(conversation.buyer)
        await seller.has(conversation.thread_id, 2)
        assert seller.sent(conversation.thread_id) == [2]


async def test_unread_counts_come_live(conversation: Conversation, origin: str) -> None:
    """A new message sends the unread count to the other member; reading on one device sends it to all."""
    async with listening(conversation.seller, origin) as phone, listening(conversation.seller, origin) as desk:
        await conversation.write(conversation.buyer)
        await conversation.write(conversation.buyer)
        for device in (phone, desk):
            await device.until(lambda one: len(one.of("thread")) == 2)
        await phone.send(type="read", thread_id=conversation.thread_id, seq=2)
        for device in (phone, desk):
            await device.until(lambda one: len(one.of("thread")) == 3)
            assert [frame["unread"] for frame in device.of("thread")] == [1, 2, 0]
    assert (await conversation.seen(conversation.seller))["unread"] == 0


async def test_what_becomes_of_the_order_comes_live(
    harness: ChatHarness, conversation: Conversation, origin: str
) -> None:
    """System messages and the thread with the buyer's one-tap replies are sent."""
    async with listening(conversation.buyer, origin) as buyer, listening(conversation.seller, origin) as seller:
        await conversation.cancel()
        await seller.until(lambda one: one.of("thread"))
        assert seller.of("thread")[-1]["pending_cancellation"]
        await harness.deliver(conversation.cancelled("chat"))
        for listener in (buyer, seller):
            await listener.until(lambda one: any(frame.get("quick_replies") is not None for frame in one.of("thread")))
            await listener.has(conversation.thread_id, 1)
            await listener.echo()
        assert buyer.of("message")[0]["message"]["code"] == "order_cancelled"
        assert buyer.of("thread")[-1]["order_status"] == "cancelled"
        assert len(buyer.of("thread")[-1]["quick_replies"]) == 3
        assert seller.of("thread")[-1]["quick_replies"] == []


async def test_presence(conversation: Conversation, origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "Penjual sedang online": the other side's coming and going is shown live and in the list of threads."""
    monkeypatch.setattr(presence, "LINGER", 0.01)

    def presence_of_seller(listener: Listener) -> list[bool]:
        seller_id = str(conversation.seller.account_id)
        return [one["online"] for one in listener.of("presence") if one["account_id"] == seller_id]

    async with listening(conversation.buyer, origin) as buyer:
        assert (await conversation.seen())["online"] is False
        async with listening(conversation.seller, origin) as seller:
            await buyer.until(presence_of_seller)
            assert (await conversation.seen())["online"] is True
            [thread] = (await conversation.buyer.get("/chat/threads"))["items"]
            assert thread["online"] is True
            await seller.first("presence")  # the buyer was there before
            async with listening(conversation.seller, origin):
                pass  # a second device, which goes again
        await buyer.until(lambda one: presence_of_seller(one)[-1:] == [False])
        assert presence_of_seller(buyer) == [True, False]
        assert (await conversation.seen())["online"] is False


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "1", '"follow"', "{}", '{"type": "shout"}', '{"type": "resume", "after": {}}', "[" * 5000]
    + [
        "null",
        '{"type": {}}',
        '{"type": "\\ud800"}',
        "1" * 9000,
        '{"type": "read"}',
        '{"type": "read", "thread_id": 1, "seq": "x"}',
        '{"type": "follow"}',
    ]
    + [json.dumps({"type": "follow", "conversations": ids}) for ids in ({UNKNOWN: 1}, UNKNOWN, "x", None, True)]
    + [json.dumps({"type": "follow", "conversations": [UNKNOWN, one]}) for one in BAD_IDS],
)
async def test_a_bad_frame_is_answered_by_an_error(
    harness: ChatHarness, origin: str, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """An invalid frame, also a binary one, is answered by an error frame; the connection stays open, and the log has no
    warning."""
    async with listening(harness.actors.person("buyer"), origin) as buyer:
        await buyer.socket.send(text)
        assert (await buyer.first("error"))["code"] == "invalid_request"
        await buyer.socket.send(b"\x00\xff")
        await buyer.until(lambda one: len(one.of("error")) == 2)
        await buyer.echo()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_storm_of_clients_that_come_back(harness: ChatHarness, conversation: Conversation, origin: str) -> None:
    """Thirty clients that connect again at once fetch at once, and each has everything."""
    people = [conversation.buyer, conversation.seller] * 15
    for _ in range(5):
        await conversation.write(conversation.buyer)
    tickets = await asyncio.gather(*(ticket(person, origin) for person in people))

    async def come_back(number: int, one: str) -> list[Any]:
        async with connect(address(origin, one), proxy=None, compression=None) as socket:
            known = {conversation.thread_id: number % 5}
            listener = Listener(socket, Messages("chat", conversation.buyer, known))
            task = asyncio.create_task(listener.listen(list(known)))
            await listener.has(conversation.thread_id, 6, first=number % 5 + 1)
        await task
        return listener.frames

    storm = asyncio.gather(*(come_back(number, one) for number, one in enumerate(tickets)))
    await conversation.write(conversation.seller)
    assert len(await storm) == 30
    live = harness.service.app.state.live
    async with asyncio.timeout(5):
        while live.connected & {person.account_id for person in people}:
            await asyncio.sleep(0.01)
