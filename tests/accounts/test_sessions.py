"""Families of refresh tokens, on both Redises."""

import asyncio
from time import time
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from runtime.http import revocations
from runtime.http.auth import LEEWAY
from runtime.http.revocations import ENDED
from services.accounts.domain import Client, SessionOver
from services.accounts.sessions import EXPIRES_IN, MAX_SESSIONS, Session, Sessions
from services.accounts.tokens import EXPIRES_IN as TOKEN_EXPIRES_IN
from tests.accounts.conftest import AllKeys

WHO = uuid4()


@pytest.fixture
def sessions(redis: Redis) -> Sessions:
    """Sessions in that Redis."""
    return Sessions(redis)


async def renew(sessions: Sessions, token: str, client: Client = Client.APP) -> Session:
    """The refresh of the token endpoint, without reading the account."""
    return await sessions.renew(await sessions.find(token, client))


async def test_each_token_makes_the_next_one(sessions: Sessions) -> None:
    """A session goes on from token to token, and stays the same account's and client's."""
    first = await sessions.start(WHO, Client.WEB)
    second = await renew(sessions, first.refresh_token, Client.WEB)
    third = await renew(sessions, second.refresh_token, Client.WEB)
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert (third.session_id, third.account_id, third.client) == (first.session_id, WHO, Client.WEB)


async def test_a_token_used_twice_ends_its_family(redis: Redis, sessions: Sessions) -> None:
    """A refresh token that is used a second time makes its successor invalid, too."""
    first = await sessions.start(WHO, Client.APP)
    second = await renew(sessions, first.refresh_token)
    with pytest.raises(SessionOver):
        await renew(sessions, first.refresh_token)
    with pytest.raises(SessionOver):
        await renew(sessions, second.refresh_token)
    assert not await redis.exists(f"accounts:family:{first.session_id}")


async def test_two_concurrent_refreshes_end_the_family(sessions: Sessions) -> None:
    """Both saw the token while it was valid: one gets the next, the other ends the family."""
    for _ in range(20):
        token = (await sessions.start(WHO, Client.APP)).refresh_token
        both = [await sessions.find(token, Client.APP) for _ in range(2)]
        results = await asyncio.gather(*map(sessions.renew, both), return_exceptions=True)
        won = [result for result in results if isinstance(result, Session)]
        assert len(won) == 1
        assert sum(isinstance(result, SessionOver) for result in results) == 1
        with pytest.raises(SessionOver):
            await renew(sessions, won[0].refresh_token)


async def test_at_most_one_of_many_concurrent_refreshes_wins(redis: Redis, sessions: Sessions) -> None:
    """In every interleaving of thirty refreshes at most one succeeds, and the token family is deleted."""
    token = (await sessions.start(WHO, Client.APP)).refresh_token
    results = await asyncio.gather(*(renew(sessions, token) for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(result, Session) for result in results) == 1
    assert sum(isinstance(result, SessionOver) for result in results) == 29
    assert not await redis.exists(f"accounts:family:{token.partition('.')[0]}")


async def test_a_token_is_for_its_client_only(sessions: Sessions) -> None:
    """The app's refresh token is refused to the website, and stays valid for the app."""
    token = (await sessions.start(WHO, Client.APP)).refresh_token
    with pytest.raises(SessionOver):
        await renew(sessions, token, Client.WEB)
    assert (await renew(sessions, token)).client is Client.APP


async def test_an_ended_session_is_over(redis: Redis, sessions: Sessions) -> None:
    """After the end the token is refused, also by a refresh that was between its two steps; ending again is
    harmless."""
    session = await sessions.start(WHO, Client.APP)
    found = await sessions.find(session.refresh_token, Client.APP)
    for _ in range(2):
        await sessions.end(WHO, session.session_id)
    with pytest.raises(SessionOver):
        await renew(sessions, session.refresh_token)
    with pytest.raises(SessionOver):
        await sessions.renew(found)
    assert not await redis.exists(f"accounts:family:{session.session_id}")


async def test_an_account_has_ten_sessions(redis: Redis, sessions: Sessions, all_keys: AllKeys) -> None:
    """After any number of sign-ins only the ten sessions that were used last are stored."""
    first, second = [await sessions.start(WHO, Client.APP) for _ in range(2)]
    more = [await sessions.start(WHO, Client.WEB) for _ in range(MAX_SESSIONS - 2)]
    first = await renew(sessions, first.refresh_token)
    last = await sessions.start(WHO, Client.APP)
    with pytest.raises(SessionOver):
        await renew(sessions, second.refresh_token)
    for session in (first, *more, last):
        await renew(sessions, session.refresh_token, session.client)
    for _ in range(3 * MAX_SESSIONS):
        await sessions.start(WHO, Client.APP)
    keys = await all_keys()
    assert len([key for key in keys if key.startswith("accounts:family:")]) == MAX_SESSIONS
    assert len(keys) == MAX_SESSIONS + 2
    assert await redis.zcard(f"accounts:sessions:{WHO}") == MAX_SESSIONS
    assert all([await redis.ttl(key) > 0 for key in keys])


async def test_all_sessions_end_but_one(sessions: Sessions) -> None:
    """All sessions of an account can be ended at once, or all others; another account's go on."""
    other = uuid4()
    mine = [await sessions.start(WHO, Client.APP) for _ in range(3)]
    theirs = await sessions.start(other, Client.APP)
    await sessions.end_all(WHO, besides=mine[1].session_id)
    assert [await sessions.is_alive(one.session_id) for one in (*mine, theirs)] == [False, True, False, True]
    await sessions.end_all(WHO)
    assert not await sessions.is_alive(mine[1].session_id)
    assert await sessions.is_alive(theirs.session_id)


async def test_every_end_is_published(redis: Redis, sessions: Sessions) -> None:
    """However a session ends, the other services learn of it, for longer than its last access token lives."""
    subscriber = redis.pubsub()
    await subscriber.subscribe(ENDED)
    left, replayed, *others = [await sessions.start(WHO, Client.APP) for _ in range(MAX_SESSIONS)]
    await sessions.end(WHO, left.session_id)
    await renew(sessions, replayed.refresh_token)
    with pytest.raises(SessionOver):
        await renew(sessions, replayed.refresh_token)
    for _ in range(3):
        await sessions.start(WHO, Client.APP)
    ended = [f"{WHO} {one.session_id}" for one in (left, replayed, others[0])]
    said: list[str] = []
    while len(said) < 3:
        if (message := await subscriber.get_message(True, 5)) is not None:
            said.append(message["data"].partition("\n")[2])
    assert said == ended
    assert sorted(await redis.zrange(ENDED, 0, -1)) == sorted(ended)
    entries: Any = await redis.zrange(ENDED, 0, -1, withscores=True)
    assert min(until for _, until in entries) > time() + TOKEN_EXPIRES_IN + LEEWAY
    await subscriber.aclose()  # type: ignore[no-untyped-call]


async def test_the_number_of_stored_ends_is_bounded(
    redis: Redis, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many sessions end, so many entries are kept, the latest, and all of them are forgotten in time."""
    monkeypatch.setattr(revocations, "MAX_ENTRIES", 5)
    for _ in range(20):
        await sessions.end(WHO, (await sessions.start(WHO, Client.APP)).session_id)
    assert await redis.zcard(ENDED) == 5
    assert 0 < await redis.ttl(ENDED) <= revocations.KEPT


@pytest.mark.parametrize("token", ["", ".", "x", "x.y", "é.\U0001f600", "a" * 200, "accounts:family:.x"])
async def test_an_invalid_refresh_token_is_refused(sessions: Sessions, token: str) -> None:
    """Anything but a valid refresh token is refused."""
    with pytest.raises(SessionOver):
        await renew(sessions, token)


async def test_thirty_days_begin_anew_with_each_use(redis: Redis, sessions: Sessions) -> None:
    """A session lasts for thirty days after it was last used."""
    session = await sessions.start(WHO, Client.APP)
    key = f"accounts:family:{session.session_id}"
    assert EXPIRES_IN - 5 <= await redis.ttl(key) <= EXPIRES_IN
    await redis.expire(key, 60)
    await renew(sessions, session.refresh_token)
    assert EXPIRES_IN - 5 <= await redis.ttl(key) <= EXPIRES_IN


async def test_redis_knows_no_tokens(redis: Redis, sessions: Sessions) -> None:
    """The values stored in Redis cannot be used as refresh tokens."""
    session = await sessions.start(WHO, Client.APP)
    kept = str(await redis.get(f"accounts:family:{session.session_id}"))
    assert session.refresh_token.partition(".")[2] not in kept
