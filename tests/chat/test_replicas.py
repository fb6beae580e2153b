"""Two replicas of the service: a client of one is sent at once what happens at the other."""

import asyncio
import random

import pytest

from runtime.http import rate_limit
from runtime.live import presence, updates
from tests.harness.chat import ChatHarness, Conversation, Replica
from tests.harness.live_client import listening


async def test_messages_reach_both_sides_wherever_they_are(conversation: Conversation, pair: list[Replica]) -> None:
    """Messages that are sent to both replicas at the same time reach a client of each, once and in order."""
    left, right = pair
    async with (
        listening(conversation.buyer, left.origin) as buyer,
        listening(conversation.seller, right.origin) as seller,
    ):
        writers = [replica.same(who) for replica in pair for who in (conversation.buyer, conversation.seller)]
        await asyncio.gather(*(conversation.write(who, f"{n}") for n in range(8) for who in writers))
        for listener in (buyer, seller):
            await listener.has(conversation.thread_id, 32)
        assert buyer.messages.of == seller.messages.of


async def test_a_ticket_is_good_at_any_replica(conversation: Conversation, pair: list[Replica]) -> None:
    """A ticket from one replica opens a socket at the other, as behind a gateway."""
    left, right = pair
    async with listening(left.same(conversation.buyer), right.origin) as buyer:
        await conversation.write(left.same(conversation.seller))
        await buyer.has(conversation.thread_id, 1)


async def test_presence_spans_replicas(
    conversation: Conversation, pair: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side is online wherever it is connected, until its last connection anywhere is gone."""
    monkeypatch.setattr(presence, "LINGER", 0.01)
    left, right = pair
    async with listening(conversation.buyer, left.origin) as buyer:
        async with listening(conversation.seller, right.origin) as first:
            await buyer.first("presence")
            await first.first("presence")  # the buyer was there before
            assert (await left.same(conversation.buyer).get(conversation.path))["online"] is True
            async with listening(conversation.seller, left.origin):
                pass  # gone here, but still there
            await conversation.write(left.same(conversation.buyer))
            await first.has(conversation.thread_id, 1)
            await buyer.until(lambda one: one.of("presence")[-1]["online"])
        await buyer.until(lambda one: not one.of("presence")[-1]["online"])
    assert (await right.same(conversation.buyer).get(conversation.path))["online"] is False


async def test_an_earlier_connection_to_another_replica_is_found(
    conversation: Conversation, pair: list[Replica]
) -> None:
    """A client that connects is sent that the other member is connected to another replica already."""
    left, right = pair
    async with listening(conversation.seller, right.origin):
        while not await right.live.redis.exists(f"chat:online:{conversation.seller.account_id}"):
            await asyncio.sleep(0.01)
        async with listening(conversation.buyer, left.origin) as buyer:
            account_id = str(conversation.seller.account_id)
            assert await buyer.first("presence") == {"type": "presence", "account_id": account_id, "online": True}


async def test_a_lost_frame_leaves_no_gap(
    conversation: Conversation, pair: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When frames are lost between replicas, the next one shows the gap, and the client fetches what is missing."""
    left, right = pair
    async with listening(conversation.buyer, right.origin) as buyer:
        await conversation.write(left.same(conversation.seller))
        await buyer.has(conversation.thread_id, 1)
        with monkeypatch.context() as silence:
            silence.setattr(left.live.broadcast, "publish", lambda hint: None)
            for _ in range(3):
                await conversation.write(left.same(conversation.seller))
        await conversation.write(left.same(conversation.seller))
        await buyer.has(conversation.thread_id, 5)
        assert buyer.sent(conversation.thread_id) == [1, 5]
        assert buyer.messages.fetches == 1


async def test_a_lost_last_frame_is_hinted_at(
    harness: ChatHarness, conversation: Conversation, pair: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica finds a message whose frame was lost, with none after it, in the database, also in a new thread; its
    clients get a hint, once."""
    deal = harness.deal(conversation.buyer)
    await harness.deliver(deal.placed())
    async with listening(conversation.buyer, pair[0].origin) as buyer:
        new = await harness.about(deal)  # the harness shares no Redis with the pair: no frame arrives
        await conversation.write(conversation.seller)
        await new.write(deal.seller)
        for _ in range(2):
            await pair[0].live.sweep()
        await buyer.has(conversation.thread_id, 1)
        await buyer.has(new.thread_id, 1)
        await buyer.echo()
        hinted = sorted(hint["conversation"] for hint in buyer.of("hint"))
        assert hinted == sorted([conversation.thread_id, new.thread_id])
        await conversation.write(conversation.seller)
        monkeypatch.setattr(updates, "SWEEP", 0.01)
        pair[0].live.broadcast._on_missed()  # wakes it, as a new subscription does
        await buyer.has(conversation.thread_id, 2)
        assert not buyer.of("message")


@pytest.mark.parametrize("seed", range(5))
async def test_disturbed_frames_leave_each_message_once(
    conversation: Conversation, pair: list[Replica], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Frames that are lost, late, doubled and out of order between replicas change nothing for a client that fetches
    when it is behind."""
    left, right = pair
    chance, publish, waiting = random.Random(seed), left.live.broadcast.publish, list[str]()

    def disturbed(frame: str) -> None:
        waiting.extend([frame] * chance.choice([0, 1, 1, 2]))
        if chance.random() < 0.5:
            chance.shuffle(waiting)
            while waiting:
                publish(waiting.pop())

    monkeypatch.setattr(left.live.broadcast, "publish", disturbed)
    async with listening(conversation.buyer, right.origin) as buyer:
        for n in range(25):
            await conversation.write(left.same(conversation.seller), str(n))
        await right.live.sweep()
        await buyer.has(conversation.thread_id, 25)
        for frame in waiting:
            publish(frame)
        await buyer.echo()
        await buyer.has(conversation.thread_id, 25)
        assert buyer.messages.of[conversation.thread_id] == await conversation.messages()


async def test_the_limit_on_messages_is_one_for_all_replicas(
    conversation: Conversation, pair: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty messages in ten seconds are counted together, wherever they are sent."""
    monkeypatch.setattr(rate_limit, "TIMEOUT", 10)  # a request passes uncounted if a busy machine takes too long
    writers = [replica.same(conversation.buyer) for replica in pair]
    path, text = f"{conversation.path}/messages", {"text": "!"}
    answers = await asyncio.gather(*(writers[n % 2].ask("POST", path, text) for n in range(32)))
    assert [answer.status_code for answer in answers if not answer.is_success] == [429, 429]
