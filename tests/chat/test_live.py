"""Live: what is said reaches both sides at once, once and in order."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from runtime.live import presence, websocket
from tests.harness.chat import House, Talk
from tests.harness.live_client import Listener, address, listening, ticket

UNKNOWN = "3199a578-46ec-47a0-87dd-1b80035b2082"
"""A thread that is not there."""


async def test_both_sides_get_every_message_once_and_in_order(talk: Talk, origin: str) -> None:
    """What the two write at the same time reaches both as 1, 2, 3, …, the same as it stands in the history."""
    async with listening(talk.buyer, origin) as buyer, listening(talk.seller, origin) as seller:
        await asyncio.gather(*(talk.write(who, f"{n}") for n in range(10) for who in (talk.buyer, talk.seller)))
        for listener in (buyer, seller):
            await listener.has(talk.thread_id, 20)
        assert buyer.of("message") == seller.of("message")
        history = await talk.messages()
        assert [frame["message"] for frame in buyer.of("message")] == history


async def test_all_ones_threads_come_over_one_socket(house: House, origin: str) -> None:
    """A seller hears of every thread without asking for any; so of one that is opened while the socket is."""
    seller = house.people.person("seller")
    deals = [house.deal(seller=seller) for _ in range(3)]
    await house.hears(*(deal.placed() for deal in deals))
    talks = [await house.about(deal) for deal in deals[:2]]
    async with listening(seller, origin) as listener:
        talks.append(await house.about(deals[2]))
        await listener.until(lambda one: one.of("thread"))
        assert listener.of("thread")[0]["thread_id"] == talks[2].thread_id
        assert listener.of("thread")[0]["title"] == "Kemeja batik"
        await asyncio.gather(*(talk.write(talk.buyer, f"{n}") for n in range(3) for talk in talks))
        for talk in talks:
            await listener.has(talk.thread_id, 3)


async def test_nobody_else_hears_it(house: House, talk: Talk, origin: str) -> None:
    """Strangers and agents get nothing of a thread; asking to resume it is refused like one that is not there."""
    stranger, agent = house.people.person("buyer"), house.people.person("agent")
    async with listening(stranger, origin) as outside, listening(agent, origin) as desk:
        await outside.say(type="resume", after={talk.thread_id: 0})
        await outside.until(lambda one: one.of("error"))
        assert outside.of("error")[0]["code"] == "not_found"
        await talk.write(talk.buyer)
        async with listening(talk.seller, origin, {talk.thread_id: 0}) as seller:
            await seller.has(talk.thread_id, 1)
        for listener in (outside, desk):
            await listener.echo()
            assert not listener.of("message") + listener.of("thread")


async def test_an_agent_reads_along_who_asks(house: House, talk: Talk, origin: str) -> None:
    """Agents may read any thread: they get what there is, and what comes."""
    await talk.write(talk.buyer)
    async with listening(house.people.person("agent"), origin, {talk.thread_id: 0}) as agent:
        await talk.write(talk.seller)
        await agent.has(talk.thread_id, 2)


async def test_a_client_that_was_away_resumes(talk: Talk, origin: str) -> None:
    """After `after` comes everything that was missed, in order, however much, and then what is said meanwhile."""
    for number in range(25):
        await talk.write(talk.buyer if number % 2 else talk.seller)

    async def go_on(seconds: float = 0) -> None:
        for _ in range(4):
            await talk.write(talk.buyer)

    writing = asyncio.create_task(go_on())
    async with listening(talk.buyer, origin, {talk.thread_id: 3}) as buyer:
        await buyer.has(talk.thread_id, 29, first=4)
    await writing


async def test_history_longer_than_a_page_is_resumed_whole(house: House, talk: Talk, origin: str) -> None:
    """What was missed is read in parts; the client does not notice."""
    async with house.service.work.begin() as tx:
        await tx.connection.execute(
            "with m as (insert into messages (thread_id, seq, kind, sender_id, text, at) select thread_id, n, 'text', "
            "buyer_id, 'x', active_at from threads, generate_series(1, 450) n where thread_id = $1::uuid) "
            "update threads set last_seq = 450 where thread_id = $1::uuid",
            talk.thread_id,
        )
    async with listening(talk.seller, origin, {talk.thread_id: 0}) as seller:
        await seller.has(talk.thread_id, 450)


async def test_resuming_again_goes_back(talk: Talk, origin: str) -> None:
    """A client may say anew what it has; what it asks for comes again, from there on without gaps."""
    for _ in range(4):
        await talk.write(talk.buyer)
    async with listening(talk.buyer, origin, {talk.thread_id: 2}) as buyer:
        await buyer.has(talk.thread_id, 4, first=3)
        await buyer.say(type="resume", after={talk.thread_id: 1})
        await buyer.until(lambda one: len(one.of("message")) == 5)
        assert buyer.seqs(talk.thread_id) == [3, 4, 2, 3, 4]
        await buyer.say(type="resume", after={talk.thread_id: 1000})
        await talk.write(talk.seller)
        await buyer.until(lambda one: len(one.of("message")) == 6)
        assert buyer.seqs(talk.thread_id)[-1] == 5


async def test_who_says_nothing_gets_what_is_new(talk: Talk, origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never resumes gets what is said from its connecting on, a moment later."""
    monkeypatch.setattr(websocket, "HOLD", 0.05)
    await talk.write(talk.buyer)
    async with listening(talk.seller, origin, resume=False) as seller:
        await talk.write(talk.buyer)
        await seller.until(lambda one: one.of("message"))
        assert seller.seqs(talk.thread_id) == [2]


async def test_messages_wait_for_the_client_to_say_what_it_has(
    talk: Talk, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between connecting and resuming nothing is sent that would come before what was missed."""
    monkeypatch.setattr(websocket, "HOLD", 60)
    for _ in range(3):
        await talk.write(talk.buyer)
    async with listening(talk.buyer, origin, resume=False) as buyer:
        await talk.write(talk.buyer)
        await buyer.echo()
        assert not buyer.of("message")
        await buyer.say(type="resume", after={talk.thread_id: 1})
        await buyer.has(talk.thread_id, 4, first=2)


async def test_unread_counts_come_live(talk: Talk, origin: str) -> None:
    """Who is written to is told how much is unread; who reads on one device is told on the other."""
    async with listening(talk.seller, origin) as phone, listening(talk.seller, origin) as desk:
        await talk.write(talk.buyer)
        await talk.write(talk.buyer)
        for device in (phone, desk):
            await device.until(lambda one: len(one.of("thread")) == 2)
        await phone.say(type="read", thread_id=talk.thread_id, seq=2)
        for device in (phone, desk):
            await device.until(lambda one: len(one.of("thread")) == 3)
            assert [frame["unread"] for frame in device.of("thread")] == [1, 2, 0]
    assert (await talk.seen(talk.seller))["unread"] == 0


async def test_what_becomes_of_the_order_comes_live(house: House, talk: Talk, origin: str) -> None:
    """System messages and the thread's head, with the buyer's one-tap replies, are there without asking."""
    async with listening(talk.buyer, origin) as buyer, listening(talk.seller, origin) as seller:
        await talk.seller.post(f"{talk.path}/cancel", status=202)
        await seller.until(lambda one: one.of("thread"))
        assert seller.of("thread")[-1]["pending_cancellation"]
        await house.hears(talk.deal.cancelled("chat"))
        for listener in (buyer, seller):
            await listener.until(lambda one: any(frame.get("quick_replies") is not None for frame in one.of("thread")))
            await listener.has(talk.thread_id, 1)
            await listener.echo()
        assert buyer.of("message")[0]["message"]["code"] == "order_cancelled"
        assert buyer.of("thread")[-1]["order_status"] == "cancelled"
        assert len(buyer.of("thread")[-1]["quick_replies"]) == 3
        assert seller.of("thread")[-1]["quick_replies"] == []


async def test_presence(talk: Talk, origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "Penjual sedang online": the other side's coming and going is shown live and in the list of threads."""
    monkeypatch.setattr(presence, "LINGER", 0.01)

    def heard(listener: Listener) -> list[bool]:
        return [one["online"] for one in listener.of("presence") if one["account_id"] == str(talk.seller.account_id)]

    async with listening(talk.buyer, origin) as buyer:
        assert (await talk.seen())["online"] is False
        async with listening(talk.seller, origin) as seller:
            await buyer.until(heard)
            assert (await talk.seen())["online"] is True
            [thread] = (await talk.buyer.get("/chat/threads"))["items"]
            assert thread["online"] is True
            await seller.until(lambda one: one.of("presence"))  # the buyer was there before
            async with listening(talk.seller, origin):
                pass  # a second device, which goes again
        await buyer.until(lambda one: heard(one)[-1:] == [False])
        assert heard(buyer) == [True, False]
        assert (await talk.seen())["online"] is False


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "1", '"resume"', "{}", '{"type": "shout"}', '{"type": "resume", "after": []}', "[" * 5000]
    + ['{"type": "resume", "after": {"x": 1}}', '{"type": "read"}', '{"type": "read", "thread_id": 1, "seq": "x"}']
    + [json.dumps({"type": "resume", "after": {UNKNOWN: seq}}) for seq in (-1, 1.5, "1", None, True)],
)
async def test_a_bad_frame_is_answered_and_harms_nobody(talk: Talk, origin: str, text: str) -> None:
    """What cannot be understood is answered by an error frame, and the connection goes on."""
    async with listening(talk.buyer, origin) as buyer:
        await buyer.socket.send(text)
        await buyer.until(lambda one: one.of("error"))
        assert buyer.of("error")[0]["code"] == "invalid_request"
        await buyer.socket.send(b"\x00\xff")
        await buyer.until(lambda one: len(one.of("error")) == 2)
        await talk.write(talk.seller)
        await buyer.has(talk.thread_id, 1)


async def test_reading_a_foreign_thread_is_refused(house: House, talk: Talk, origin: str) -> None:
    """Over the socket, as over HTTP, a foreign thread is not there."""
    async with listening(house.people.person("seller"), origin) as stranger:
        await stranger.say(type="read", thread_id=talk.thread_id, seq=1)
        await stranger.until(lambda one: one.of("error"))
        assert stranger.of("error")[0]["code"] == "not_found"


async def test_a_storm_of_clients_that_come_back(house: House, talk: Talk, origin: str) -> None:
    """Thirty clients who lost their connection at once resume at once, and each has everything."""
    people = [talk.buyer, talk.seller] * 15
    for _ in range(5):
        await talk.write(talk.buyer)
    tickets = await asyncio.gather(*(ticket(person, origin) for person in people))

    async def come_back(number: int, one: str) -> list[Any]:
        async with connect(address(origin, one), proxy=None, compression=None) as socket:
            listener = Listener(socket)
            task = asyncio.create_task(listener.listen())
            await listener.say(type="resume", after={talk.thread_id: number % 5})
            await listener.has(talk.thread_id, 6, first=number % 5 + 1)
        await task
        return listener.frames

    storm = asyncio.gather(*(come_back(number, one) for number, one in enumerate(tickets)))
    await talk.write(talk.seller)
    assert len(await storm) == 30
    async with asyncio.timeout(5):
        while house.service.app.state.live.people & {talk.buyer.account_id, talk.seller.account_id}:
            await asyncio.sleep(0.01)
