"""Live: what is said reaches both sides at once, once and in order."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from runtime.live import presence, websocket
from tests.harness.chat import ChatHarness, Conversation
from tests.harness.live_client import Listener, address, listening, ticket

UNKNOWN = "3199a578-46ec-47a0-87dd-1b80035b2082"
"""A thread that is not there."""


async def test_both_sides_get_every_message_once_and_in_order(conversation: Conversation, origin: str) -> None:
    """What the two write at the same time reaches both as 1, 2, 3, …, the same as it stands in the history."""
    async with listening(conversation.buyer, origin) as buyer, listening(conversation.seller, origin) as seller:
        await asyncio.gather(
            *(conversation.write(who, f"{n}") for n in range(10) for who in (conversation.buyer, conversation.seller))
        )
        for listener in (buyer, seller):
            await listener.has(conversation.thread_id, 20)
        assert buyer.of("message") == seller.of("message")
        history = await conversation.messages()
        assert [frame["message"] for frame in buyer.of("message")] == history


async def test_all_ones_threads_come_over_one_socket(harness: ChatHarness, origin: str) -> None:
    """A seller hears of every thread without asking for any; so of one that is opened while the socket is."""
    seller = harness.people.person("seller")
    deals = [harness.deal(seller=seller) for _ in range(3)]
    await harness.deliver(*(deal.placed() for deal in deals))
    talks = [await harness.about(deal) for deal in deals[:2]]
    async with listening(seller, origin) as listener:
        talks.append(await harness.about(deals[2]))
        await listener.until(lambda one: one.of("thread"))
        assert listener.of("thread")[0]["thread_id"] == talks[2].thread_id
        assert listener.of("thread")[0]["title"] == "Kemeja batik"
        await asyncio.gather(
            *(conversation.write(conversation.buyer, f"{n}") for n in range(3) for conversation in talks)
        )
        for conversation in talks:
            await listener.has(conversation.thread_id, 3)


async def test_nobody_else_hears_it(harness: ChatHarness, conversation: Conversation, origin: str) -> None:
    """Strangers and agents get nothing of a thread; asking to resume it is refused like one that is not there."""
    stranger, agent = harness.people.person("buyer"), harness.people.person("agent")
    async with listening(stranger, origin) as outside, listening(agent, origin) as desk:
        await outside.publish_as(type="resume", after={conversation.thread_id: 0})
        await outside.until(lambda one: one.of("error"))
        assert outside.of("error")[0]["code"] == "not_found"
        await conversation.write(conversation.buyer)
        async with listening(conversation.seller, origin, {conversation.thread_id: 0}) as seller:
            await seller.has(conversation.thread_id, 1)
        for listener in (outside, desk):
            await listener.echo()
            assert not listener.of("message") + listener.of("thread")


async def test_an_agent_reads_along_who_asks(harness: ChatHarness, conversation: Conversation, origin: str) -> None:
    """Agents may read any thread: they get what there is, and what comes."""
    await conversation.write(conversation.buyer)
    async with listening(harness.people.person("agent"), origin, {conversation.thread_id: 0}) as agent:
        await conversation.write(conversation.seller)
        await agent.has(conversation.thread_id, 2)


async def test_a_client_that_was_away_resumes(conversation: Conversation, origin: str) -> None:
    """After `after` comes everything that was missed, in order, however much, and then what is said meanwhile."""
    for number in range(25):
        await conversation.write(conversation.buyer if number % 2 else conversation.seller)

    async def go_on(seconds: float = 0) -> None:
        for _ in range(4):
            await conversation.write(conversation.buyer)

    writing = asyncio.create_task(go_on())
    async with listening(conversation.buyer, origin, {conversation.thread_id: 3}) as buyer:
        await buyer.has(conversation.thread_id, 29, first=4)
    await writing


async def test_history_longer_than_a_page_is_resumed_whole(
    harness: ChatHarness, conversation: Conversation, origin: str
) -> None:
    """What was missed is read in parts; the client does not notice."""
    async with harness.service.uow.begin() as tx:
        await tx.connection.execute(
            "with m as (insert into messages (thread_id, seq, kind, sender_id, text, at) select thread_id, n, 'text', "
            "buyer_id, 'x', active_at from threads, generate_series(1, 450) n where thread_id = $1::uuid) "
            "update threads set last_seq = 450 where thread_id = $1::uuid",
            conversation.thread_id,
        )
    async with listening(conversation.seller, origin, {conversation.thread_id: 0}) as seller:
        await seller.has(conversation.thread_id, 450)


async def test_resuming_again_goes_back(conversation: Conversation, origin: str) -> None:
    """A client may say anew what it has; what it asks for comes again, from there on without gaps."""
    for _ in range(4):
        await conversation.write(conversation.buyer)
    async with listening(conversation.buyer, origin, {conversation.thread_id: 2}) as buyer:
        await buyer.has(conversation.thread_id, 4, first=3)
        await buyer.publish_as(type="resume", after={conversation.thread_id: 1})
        await buyer.until(lambda one: len(one.of("message")) == 5)
        assert buyer.seqs(conversation.thread_id) == [3, 4, 2, 3, 4]
        await buyer.publish_as(type="resume", after={conversation.thread_id: 1000})
        await conversation.write(conversation.seller)
        await buyer.until(lambda one: len(one.of("message")) == 6)
        assert buyer.seqs(conversation.thread_id)[-1] == 5


async def test_who_says_nothing_gets_what_is_new(
    conversation: Conversation, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that never resumes gets what is said from its connecting on, a moment later."""
    monkeypatch.setattr(websocket, "HOLD", 0.05)
    await conversation.write(conversation.buyer)
    async with listening(conversation.seller, origin, resume=False) as seller:
        await conversation.write(conversation.buyer)
        await seller.until(lambda one: one.of("message"))
        assert seller.seqs(conversation.thread_id) == [2]


async def test_messages_wait_for_the_client_to_say_what_it_has(
    conversation: Conversation, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between connecting and resuming nothing is sent that would come before what was missed."""
    monkeypatch.setattr(websocket, "HOLD", 60)
    for _ in range(3):
        await conversation.write(conversation.buyer)
    async with listening(conversation.buyer, origin, resume=False) as buyer:
        await conversation.write(conversation.buyer)
        await buyer.echo()
        assert not buyer.of("message")
        await buyer.publish_as(type="resume", after={conversation.thread_id: 1})
        await buyer.has(conversation.thread_id, 4, first=2)


async def test_unread_counts_come_live(conversation: Conversation, origin: str) -> None:
    """Who is written to is told how much is unread; who reads on one device is told on the other."""
    async with listening(conversation.seller, origin) as phone, listening(conversation.seller, origin) as desk:
        await conversation.write(conversation.buyer)
        await conversation.write(conversation.buyer)
        for device in (phone, desk):
            await device.until(lambda one: len(one.of("thread")) == 2)
        await phone.publish_as(type="read", thread_id=conversation.thread_id, seq=2)
        for device in (phone, desk):
            await device.until(lambda one: len(one.of("thread")) == 3)
            assert [frame["unread"] for frame in device.of("thread")] == [1, 2, 0]
    assert (await conversation.seen(conversation.seller))["unread"] == 0


async def test_what_becomes_of_the_order_comes_live(
    harness: ChatHarness, conversation: Conversation, origin: str
) -> None:
    """System messages and the thread's head, with the buyer's one-tap replies, are there without asking."""
    async with listening(conversation.buyer, origin) as buyer, listening(conversation.seller, origin) as seller:
        await conversation.seller.post(f"{conversation.path}/cancel", status=202)
        await seller.until(lambda one: one.of("thread"))
        assert seller.of("thread")[-1]["pending_cancellation"]
        await harness.deliver(conversation.deal.cancelled("chat"))
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

    def heard(listener: Listener) -> list[bool]:
        return [
            one["online"] for one in listener.of("presence") if one["account_id"] == str(conversation.seller.account_id)
        ]

    async with listening(conversation.buyer, origin) as buyer:
        assert (await conversation.seen())["online"] is False
        async with listening(conversation.seller, origin) as seller:
            await buyer.until(heard)
            assert (await conversation.seen())["online"] is True
            [thread] = (await conversation.buyer.get("/chat/threads"))["items"]
            assert thread["online"] is True
            await seller.until(lambda one: one.of("presence"))  # the buyer was there before
            async with listening(conversation.seller, origin):
                pass  # a second device, which goes again
        await buyer.until(lambda one: heard(one)[-1:] == [False])
        assert heard(buyer) == [True, False]
        assert (await conversation.seen())["online"] is False


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "1", '"resume"', "{}", '{"type": "shout"}', '{"type": "resume", "after": []}', "[" * 5000]
    + ['{"type": "resume", "after": {"x": 1}}', '{"type": "read"}', '{"type": "read", "thread_id": 1, "seq": "x"}']
    + [json.dumps({"type": "resume", "after": {UNKNOWN: seq}}) for seq in (-1, 1.5, "1", None, True)],
)
async def test_a_bad_frame_is_answered_and_harms_nobody(conversation: Conversation, origin: str, text: str) -> None:
    """What cannot be understood is answered by an error frame, and the connection goes on."""
    async with listening(conversation.buyer, origin) as buyer:
        await buyer.socket.send(text)
        await buyer.until(lambda one: one.of("error"))
        assert buyer.of("error")[0]["code"] == "invalid_request"
        await buyer.socket.send(b"\x00\xff")
        await buyer.until(lambda one: len(one.of("error")) == 2)
        await conversation.write(conversation.seller)
        await buyer.has(conversation.thread_id, 1)


async def test_reading_a_foreign_thread_is_refused(
    harness: ChatHarness, conversation: Conversation, origin: str
) -> None:
    """Over the socket, as over HTTP, a foreign thread is not there."""
    async with listening(harness.people.person("seller"), origin) as stranger:
        await stranger.publish_as(type="read", thread_id=conversation.thread_id, seq=1)
        await stranger.until(lambda one: one.of("error"))
        assert stranger.of("error")[0]["code"] == "not_found"


async def test_a_storm_of_clients_that_come_back(harness: ChatHarness, conversation: Conversation, origin: str) -> None:
    """Thirty clients who lost their connection at once resume at once, and each has everything."""
    people = [conversation.buyer, conversation.seller] * 15
    for _ in range(5):
        await conversation.write(conversation.buyer)
    tickets = await asyncio.gather(*(ticket(person, origin) for person in people))

    async def come_back(number: int, one: str) -> list[Any]:
        async with connect(address(origin, one), proxy=None, compression=None) as socket:
            listener = Listener(socket)
            task = asyncio.create_task(listener.listen())
            await listener.publish_as(type="resume", after={conversation.thread_id: number % 5})
            await listener.has(conversation.thread_id, 6, first=number % 5 + 1)
        await task
        return listener.frames

    storm = asyncio.gather(*(come_back(number, one) for number, one in enumerate(tickets)))
    await conversation.write(conversation.seller)
    assert len(await storm) == 30
    async with asyncio.timeout(5):
        while harness.service.app.state.live.people & {conversation.buyer.account_id, conversation.seller.account_id}:
            await asyncio.sleep(0.01)
