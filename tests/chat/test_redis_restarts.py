"""Redis is restarted, killed or frozen while messages are sent: each client has each message once, in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis

from batalkan.keys import Keys
from batalkan.servers import LocalServers
from tests.harness.actors import assert_problem
from tests.harness.chat import ChatHarness, Conversation, Replica, replicas
from tests.harness.live_client import listening

pytestmark = pytest.mark.servers

Fault = Callable[[LocalServers], Coroutine[Any, Any, None]]


@pytest.fixture
async def on_redis(harness: ChatHarness, keys: Keys, servers: LocalServers) -> AsyncIterator[list[Replica]]:
    """Two replicas that share a real Redis, with nothing in it."""
    async with Redis.from_url(servers.redis.admin_url) as admin:
        await admin.flushall()
    async with replicas(harness, keys, servers.redis.url("chat")) as made:
        yield made


async def restarted(servers: LocalServers) -> None:
    """A clean restart."""
    await servers.redis.stop()
    await servers.redis.start()


async def killed(servers: LocalServers) -> None:
    """Killed, and started again."""
    await servers.redis.kill()
    await servers.redis.start()


async def frozen(servers: LocalServers) -> None:
    """Paused for longer than the timeout, with its connections open."""
    servers.redis.pause()
    await asyncio.sleep(1.5)
    servers.redis.resume()


@pytest.mark.parametrize("fault", [restarted, killed, frozen])
async def test_nothing_is_lost_while_redis_is_away(
    servers: LocalServers, conversation: Conversation, on_redis: list[Replica], fault: Fault
) -> None:
    """Messages written before, while and after Redis is away reach clients at both replicas as 1, 2, 3, …"""
    left, right = on_redis
    writers = [replica.same(who) for replica in on_redis for who in (conversation.buyer, conversation.seller)]
    total = 0

    async with (
        listening(conversation.buyer, left.origin) as buyer,
        listening(conversation.seller, right.origin) as seller,
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
    left, right = on_redis
    async with listening(conversation.buyer, right.origin) as buyer:
        await servers.redis.kill()
        try:
            while not right.live.broadcast.away:
                await asyncio.sleep(0.01)
            assert_problem(await right.same(conversation.buyer).ask("POST", "/chat/tickets"), 503, "live_unavailable")
            loop = asyncio.get_running_loop()
            for seq in (1, 2, 3):
                started = loop.time()
                await conversation.write(left.same(conversation.seller))
                await buyer.has(conversation.thread_id, seq)
                assert loop.time() - started < 3  # two, and one for a busy machine
            ready = await right.same(conversation.buyer).get("/chat/health/ready")
            assert (ready["status"], ready["parts"]["redis"]) == ("ready", False)
        finally:
            await servers.redis.start()
        while right.live.broadcast.away or left.live.broadcast.away:
            await asyncio.sleep(0.01)
        async with listening(left.same(conversation.seller), left.origin, {conversation.thread_id: 0}) as seller:
            await conversation.write(right.same(conversation.buyer))
            for listener in (buyer, seller):
                await listener.has(conversation.thread_id, 4)


async def test_presence_on_a_real_redis(conversation: Conversation, on_redis: list[Replica]) -> None:
    """The other side's presence is found at the other replica, under a key that expires by itself."""
    left, right = on_redis
    async with (
        listening(right.same(conversation.seller), right.origin) as seller,
        listening(left.same(conversation.buyer), left.origin) as buyer,
    ):
        await buyer.first("presence")
        await seller.first("presence")
        assert (await left.same(conversation.buyer).get(conversation.path))["online"] is True
        assert 20 < await left.live.redis.ttl(f"chat:online:{conversation.seller.account_id}") <= 40
