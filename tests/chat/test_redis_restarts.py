"""Redis is restarted, killed, frozen while people talk: nobody misses a message, gets one twice, or out of order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from batalkan.keys import Keys
from batalkan.servers import LocalServers
from tests.harness.chat import ChatHarness, Conversation, Replica, replicas
from tests.harness.live_client import listening
from tests.harness.orders_actors import assert_problem

pytestmark = pytest.mark.servers

Fault = Callable[[LocalServers], Coroutine[Any, Any, None]]


@pytest.fixture
async def on_redis(harness: ChatHarness, keys: Keys, real_redis_url: str) -> AsyncIterator[list[Replica]]:
    """Two replicas that share a real Redis."""
    async with replicas(harness, keys, real_redis_url) as made:
        yield made


async def restarted(servers: LocalServers) -> None:
    """A clean restart."""
    await servers.redis.stop()
    await servers.redis.start()


async def killed(servers: LocalServers) -> None:
    """Gone without a word, and back."""
    await servers.redis.kill()
    await servers.redis.start()


async def frozen(servers: LocalServers) -> None:
    """Silent for longer than it is waited for, with its connections open."""
    servers.redis.pause()
    await asyncio.sleep(1.5)
    servers.redis.resume()


@pytest.mark.parametrize("fault", [restarted, killed, frozen])
async def test_nothing_is_lost_while_redis_is_away(
    servers: LocalServers, conversation: Conversation, on_redis: list[Replica], fault: Fault
) -> None:
    """Messages written before, while and after Redis is away reach clients at both replicas as 1, 2, 3, …"""
    here, there = on_redis
    writers = [replica.same(who) for replica in on_redis for who in (conversation.buyer, conversation.seller)]
    total = 0

    async with (
        listening(conversation.buyer, here.origin) as buyer,
        listening(conversation.seller, there.origin) as seller,
    ):
        away = asyncio.create_task(fault(servers))
        while not away.done() or total < 40:
            await conversation.write(writers[total % 4], str(total))
            total += 1
            await asyncio.sleep(0.02 if total < 60 else 0.2)  # a person's pace: stays under the limit's
        await away
        for listener in (buyer, seller):
            await listener.has(conversation.thread_id, total)


async def test_while_redis_is_away_messages_still_cross(
    servers: LocalServers, conversation: Conversation, on_redis: list[Replica]
) -> None:
    """With Redis gone for good, replicas find each other's messages in the database, within two seconds."""
    here, there = on_redis
    async with listening(conversation.buyer, there.origin) as buyer:
        await servers.redis.kill()
        try:
            while not there.live.broadcast.away:
                await asyncio.sleep(0.01)
            assert_problem(await there.same(conversation.buyer).ask("POST", "/chat/tickets"), 503, "live_unavailable")
            loop = asyncio.get_running_loop()
            for seq in (1, 2, 3):
                started = loop.time()
                await conversation.write(here.same(conversation.seller))
                await buyer.has(conversation.thread_id, seq)
                assert loop.time() - started < 3  # two, and one for a busy machine
            ready = await there.same(conversation.buyer).get("/chat/health/ready")
            assert (ready["status"], ready["parts"]["redis"]) == ("ready", False)
        finally:
            await servers.redis.start()
        while there.live.broadcast.away or here.live.broadcast.away:
            await asyncio.sleep(0.01)
        async with listening(here.same(conversation.seller), here.origin, {conversation.thread_id: 0}) as seller:
            await conversation.write(there.same(conversation.buyer))
            for listener in (buyer, seller):
                await listener.has(conversation.thread_id, 4)


async def test_presence_on_a_real_redis(conversation: Conversation, on_redis: list[Replica]) -> None:
    """The other side's presence is found at the other replica, under a key that expires by itself."""
    here, there = on_redis
    async with (
        listening(there.same(conversation.seller), there.origin) as seller,
        listening(here.same(conversation.buyer), here.origin) as buyer,
    ):
        await buyer.until(lambda one: one.of("presence"))
        await seller.until(lambda one: one.of("presence"))
        assert (await here.same(conversation.buyer).get(conversation.path))["online"] is True
        assert 20 < await here.live.redis.ttl(f"chat:online:{conversation.seller.account_id}") <= 40
