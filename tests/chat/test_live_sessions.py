"""Sockets and tickets live no longer than their token and session."""

import dataclasses
from time import time
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from batalkan.keys import Keys
from batalkan.servers import LocalServers
from runtime.http.auth import LEEWAY, Identity
from runtime.http.revocations import ENDED
from runtime.live import sockets, websocket
from tests.harness.actors import assert_problem
from tests.harness.chat import ChatHarness, Conversation, Replica, replicas
from tests.harness.live_client import address, end_session, listening, refusal


async def test_a_socket_lives_no_longer_than_its_token(
    harness: ChatHarness, conversation: Conversation, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the token of its ticket has run out a socket is closed, and needs a new ticket; nothing is lost by it."""
    monkeypatch.setattr(websocket, "time", lambda: time() + 898.5 + LEEWAY)  # of the 900 seconds that a token lasts
    again = harness.actors.person("buyer", account_id=conversation.buyer.account_id)
    async with listening(again, origin) as buyer:
        await conversation.write(conversation.buyer)
        assert await buyer.closed() == sockets.RENEW
    monkeypatch.undo()
    async with listening(conversation.buyer, origin, {conversation.thread_id: 0}) as buyer:
        await buyer.has(conversation.thread_id, 1)


async def test_a_ticket_outlives_neither_its_token_nor_its_session(harness: ChatHarness, origin: str) -> None:
    """A ticket opens nothing once its token has run out or its session has ended, however young it is."""
    live, who = harness.service.app.state.live, uuid4()
    late = await live.tickets.issue(Identity(who, "buyer", "app", "s", time()))
    assert await refusal(address(origin, late.ticket)) == (403, "ticket_refused")
    void = await live.tickets.issue(Identity(who, "buyer", "app", "gone", time() + 900))
    await end_session(live.redis, who, "gone")
    assert await refusal(address(origin, void.ticket)) == (403, "ticket_refused")


@pytest.mark.parametrize("announced", [True, False])
async def test_the_end_of_a_session_closes_its_sockets(
    conversation: Conversation, pair: list[Replica], announced: bool
) -> None:
    """The end of a session closes its sockets at every replica at once or, if the news was lost, as soon as Redis is
    back; its token is refused. Other sessions of the account stay."""
    left, right = pair
    lost = left.actors.person("buyer", account_id=conversation.buyer.account_id, session=f"lost {announced}")
    kept = left.actors.person("buyer", account_id=conversation.buyer.account_id, session="kept")
    async with (
        listening(lost, left.origin) as one,
        listening(lost, right.origin) as other,
        listening(kept, right.origin) as mine,
    ):
        if announced:
            await end_session(left.live.redis, lost.account_id, f"lost {announced}")
        else:
            await left.live.redis.zadd(ENDED, {f"{lost.account_id} lost {announced}": time() + 900})
            for replica in pair:
                replica.live.revocations._due.set()  # as when it listens again
        assert [await listener.closed() for listener in (one, other)] == [sockets.OVER] * 2
        await mine.echo()
        for replica in pair:
            person = dataclasses.replace(lost, http=replica.actors.http)
            assert_problem(await person.ask("POST", "/chat/tickets"), 401, "unauthenticated")


@pytest.mark.servers
async def test_ends_of_sessions_arrive_over_redis(
    harness: ChatHarness, conversation: Conversation, servers: LocalServers, keys: Keys
) -> None:
    """The end of a session, published by `accounts` under its own Redis user, closes sockets of `chat`, also if `chat`
    had lost its connection."""
    async with (
        replicas(harness, keys, servers.redis.url("chat"), count=1) as [replica],
        Redis.from_url(servers.redis.url("accounts")) as accounts,
    ):
        for session in ("first", "second"):
            person = replica.actors.person("buyer", account_id=conversation.buyer.account_id, session=session)
            async with listening(person, replica.origin) as buyer:
                if session == "second":
                    await replica.live.redis.connection_pool.disconnect()
                await end_session(accounts, person.account_id, session)
                assert await buyer.closed() == sockets.OVER
