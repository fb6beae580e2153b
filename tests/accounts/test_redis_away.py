"""Without Redis signing in is refused, and signed-in accounts continue."""

import asyncio
from collections.abc import AsyncIterator
from secrets import token_hex
from time import monotonic

import pytest
from redis.asyncio import Redis

from batalkan.keys import Keys
from batalkan.servers import LocalServers
from runtime.errors import RateLimited
from runtime.storage.redis import connect, writes
from services.accounts.limits import Limit, Limits
from tests.harness.accounts import AccountsHarness, Visitor, open_harness
from tests.harness.lost_answer import lose_an_answer


@pytest.fixture(params=["closed port", "silence", "not Redis"])
async def broken_redis_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A Redis that refuses connections, takes them and is silent, or is something else."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.param == "not Redis":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if request.param == "closed port":
        server.close()
    yield f"redis://accounts:secret@127.0.0.1:{port}/0"
    server.close()
    await server.wait_closed()


async def check_away(visitor: Visitor, access_token: str, refresh_token: str) -> None:
    """Holds while Redis is away."""
    started = monotonic()
    answers = await asyncio.gather(
        visitor.sign_in(),
        visitor.refresh(refresh_token),
        visitor.register(),
        visitor.post("logout", access_token),
    )
    assert monotonic() - started < 2  # a second, and another for a busy machine
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "sessions_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert answers[0].json()["error"] == answers[1].json()["error"] == "sessions_unavailable"
    assert (await visitor.me(access_token)).status_code == 200
    assert (await visitor.http.get("/accounts/jwks.json")).status_code == 200
    assert (await visitor.http.get("/accounts/health/live")).status_code == 200
    ready = await visitor.http.get("/accounts/health/ready")
    assert (ready.status_code, ready.json()["parts"]["redis"]) == (503, False)
    assert ready.json()["parts"]["database"]


async def test_without_redis_existing_sessions_stay_valid(
    harness: AccountsHarness, visitor: Visitor, keys: Keys, broken_redis_url: str
) -> None:
    """Signing in, on and out get a 503 within a second; issued access tokens stay valid; nothing hangs."""
    tokens = await visitor.signed_in()
    async with (
        open_harness(harness.database_url, keys, redis_url=broken_redis_url, wait=False) as away,
        away.visitor() as back,
    ):
        back.email = visitor.email
        while not await away.service.health_checks["database"]():
            await asyncio.sleep(0.01)
        await check_away(back, tokens["access_token"], tokens["refresh_token"])


@pytest.fixture
async def at_server(harness: AccountsHarness, keys: Keys, real_redis_url: str) -> AsyncIterator[AccountsHarness]:
    """The service with a real Redis."""
    async with open_harness(harness.database_url, keys, redis_url=real_redis_url) as at_server:
        yield at_server


@pytest.fixture
async def customer(at_server: AccountsHarness) -> AsyncIterator[Visitor]:
    """A visitor of that service."""
    async with at_server.visitor() as customer:
        yield customer


@pytest.mark.servers
async def test_it_comes_back_with_redis(at_server: AccountsHarness, customer: Visitor, servers: LocalServers) -> None:
    """A Redis that freezes, and one that dies, is noticed and missed; sessions go on when it is there again."""
    tokens = await customer.signed_in()
    servers.redis.pause()
    try:
        await check_away(customer, tokens["access_token"], tokens["refresh_token"])
    finally:
        servers.redis.resume()
    await at_server.service.until_ready()
    tokens = (await customer.refresh(tokens["refresh_token"])).json()
    await servers.redis.kill()
    try:
        await check_away(customer, tokens["access_token"], tokens["refresh_token"])
    finally:
        await servers.redis.start()
    await at_server.service.until_ready()
    assert (await customer.sign_in()).status_code == 200


@pytest.mark.servers
@pytest.mark.parametrize(
    ("refuse", "allow"),
    [("replicaof 127.0.0.1 1", "replicaof no one"), ("config set maxmemory 1", "config set maxmemory 0")],
    ids=["replica", "full"],
)
async def test_redis_that_takes_nothing(
    at_server: AccountsHarness, customer: Visitor, servers: LocalServers, real_redis_url: str, refuse: str, allow: str
) -> None:
    """With a Redis that answers and takes nothing, as a replica or a full one, `accounts` is neither ready nor serving;
    it goes on by itself, over other connections if they led to a replica."""
    async with Redis.from_url(servers.redis.admin_url) as admin, connect(real_redis_url) as client:
        await customer.signed_in()
        before = await client.client_id()
        await admin.execute_command(*refuse.split())  # type: ignore[no-untyped-call]
        try:
            answer = await customer.sign_in()
            assert (answer.status_code, answer.json()["code"]) == (503, "sessions_unavailable")
            for question in ("ready", "serving"):
                health = await customer.http.get(f"/accounts/health/{question}")
                assert (health.status_code, health.json()["parts"]["redis"]) == (503, False)
            assert not await writes(client, "accounts")
        finally:
            await admin.execute_command(*allow.split())  # type: ignore[no-untyped-call]
        await at_server.service.until_ready()
        assert (await customer.sign_in()).status_code == 200
        assert (await client.client_id() != before) == refuse.startswith("replica")


@pytest.mark.servers
async def test_a_lost_answer_ends_no_session(
    at_server: AccountsHarness, customer: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh whose answer from Redis is lost is repeated, and knows the token that it wrote itself."""
    tokens = await customer.signed_in()
    for _ in range(2):
        lose_an_answer(monkeypatch, b"accounts:sessions:")
        answer = await customer.refresh(tokens["refresh_token"])
        assert answer.status_code == 200
        tokens = answer.json()


@pytest.mark.servers
async def test_a_lost_answer_uses_up_no_pause(real_redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may try again after a pause may do so although the answer from Redis about the pause was lost."""
    async with connect(real_redis_url) as redis:
        limits = Limits(redis, b"secret")
        count = limits.count(Limit("slowed", 1, 900, spacing=4), token_hex(4))
        await limits.take(count)
        lose_an_answer(monkeypatch, b"SET\r\n")
        await limits.take(count)
        with pytest.raises(RateLimited):
            await limits.take(count)


@pytest.mark.servers
async def test_broken_connections_are_not_noticed(customer: Visitor, servers: LocalServers) -> None:
    """After a quick restart of Redis the first request finds its connections broken, and succeeds all the same."""
    await customer.signed_in()
    await servers.redis.stop()
    await servers.redis.start()
    assert (await customer.sign_in()).status_code == 200
