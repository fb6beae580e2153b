"""Access to sockets: tickets, origins, limits."""

import asyncio
import logging
from contextlib import suppress
from time import time
from uuid import UUID

import pytest
from starlette.datastructures import Headers
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from batalkan.keys import Keys
from runtime.http.auth import Identity
from runtime.live import sockets, websocket
from runtime.live.tickets import MAX_TICKETS, ForeignOrigin, Tickets, check_origin, origins
from runtime.settings import Environment
from tests.harness.actors import assert_problem
from tests.harness.chat import ChatHarness, Conversation, replicas
from tests.harness.live_client import address, listening, refusal, ticket

LARGE_FRAME = '{"type":"thread","x":"' + "x" * 200_000 + '"}'


async def test_a_ticket_opens_one_socket(
    conversation: Conversation, origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A ticket opens one socket only, also when two clients use it at once. The server logs no addresses."""
    caplog.set_level(logging.INFO)
    once = await ticket(conversation.buyer, origin)
    async with connect(address(origin, once), proxy=None):
        assert await refusal(address(origin, once)) == (403, "ticket_refused")
    assert "ticket=" not in caplog.text
    twice = await ticket(conversation.buyer, origin)
    both = await asyncio.gather(
        *(connect(address(origin, twice), proxy=None) for _ in range(2)), return_exceptions=True
    )
    opened = [one for one in both if not isinstance(one, BaseException)]
    assert len(opened) == 1
    await opened[0].close()


@pytest.mark.parametrize("made_up", ["", "x", "A" * 43, "*" * 43, "../../x", "%00"])
async def test_a_made_up_ticket_opens_nothing(origin: str, caplog: pytest.LogCaptureFixture, made_up: str) -> None:
    """A missing or made-up ticket is refused. The server logs no warning, and no addresses, for they hold tickets."""
    caplog.set_level(logging.INFO)
    assert await refusal(address(origin, made_up)) == (403, "ticket_refused")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert "ticket=" not in caplog.text


async def test_a_ticket_expires(harness: ChatHarness, conversation: Conversation, origin: str) -> None:
    """Thirty seconds after it was made a ticket is worth nothing; the store counts them."""
    answer = await conversation.buyer.post("/chat/tickets", status=201)
    assert answer["expires_in"] == 30
    redis, key = harness.service.app.state.live.redis, f"chat:ticket:{answer['ticket']}"
    assert 28 <= await redis.ttl(key) <= 30
    await redis.pexpire(key, 1)
    while await redis.exists(key):
        await asyncio.sleep(0.001)
    assert await refusal(address(origin, answer["ticket"])) == (403, "ticket_refused")


async def test_an_account_has_so_many_tickets(conversation: Conversation) -> None:
    """An account gets sixty tickets in half a minute, so that it cannot fill Redis with them."""
    answers = [await conversation.buyer.ask("POST", "/chat/tickets") for _ in range(MAX_TICKETS + 2)]
    assert [answer.status_code for answer in answers] == [201] * MAX_TICKETS + [429] * 2
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 30


async def test_a_ticket_of_another_service_opens_nothing(harness: ChatHarness, origin: str) -> None:
    """Each service has tickets of its own, also where they share a Redis."""
    live = harness.service.app.state.live
    person = Identity(UUID(int=1), "buyer", "app", "s", time() + 900)
    foreign = (await Tickets(live.redis, "cs").issue(person)).ticket
    assert await refusal(address(origin, foreign)) == (403, "ticket_refused")


ALLOWED = ["http://127.0.0.1:8080", "http://LOCALHOST:8080", "same", None]
FOREIGN = ["https://evil.example", "null", "http://127.0.0.1:8080.evil.example", "http://127.0.0.1", "", "x"]


@pytest.mark.parametrize("page", [*ALLOWED, *FOREIGN])
async def test_pages_of_known_origins_may_connect(conversation: Conversation, origin: str, page: str | None) -> None:
    """Pages of the origins in ORIGINS, pages of our own host, and clients that are no browsers are let in. A page of
    another site is refused, and does not use up the ticket."""
    headers = {} if page is None else {"Origin": f"http://{origin}" if page == "same" else page}
    url = address(origin, await ticket(conversation.buyer, origin))
    if page in FOREIGN:
        assert await refusal(url, additional_headers=headers) == (403, "foreign_origin")
    async with connect(url, proxy=None, additional_headers={} if page in FOREIGN else headers):
        pass


def test_origins_are_a_setting() -> None:
    """ORIGINS names the pages that may connect, separated by commas."""
    allowed = origins(Environment({"ORIGINS": "https://a.example, https://b.example/"}))
    for page in ("https://a.example", "https://b.example"):
        check_origin(Headers({"origin": page, "host": "x"}), allowed)
    with pytest.raises(ForeignOrigin):
        check_origin(Headers({"origin": "http://127.0.0.1:8080", "host": "x"}), allowed)


async def test_a_frame_that_is_too_large_ends_the_connection(conversation: Conversation, origin: str) -> None:
    """A frame has at most 16 KiB; with more the socket is closed with 1009."""
    async with listening(conversation.buyer, origin) as buyer:
        await buyer.socket.send('{"type": "ping"}'.ljust(16 * 1024))
        await buyer.until(lambda one: len(one.of("pong")) == 2)
        await buyer.socket.send('{"type": "ping"}'.ljust(16 * 1024 + 1))
        assert await buyer.closed() == 1009


@pytest.mark.parametrize("parts", [[b"\xff\xfe"], [b'{"type": "', b"\xed\xa0\x80", b'"}'], [b"a" * 100 + b"\xc3"]])
async def test_a_frame_that_is_not_utf_8_ends_the_connection(
    conversation: Conversation, origin: str, caplog: pytest.LogCaptureFixture, parts: list[bytes]
) -> None:
    """Whole or in fragments, it is closed with 1007 and no word in the log; the next connection is served."""
    async with listening(conversation.buyer, origin) as buyer:
        await buyer.socket.send(parts if len(parts) > 1 else parts[0], text=True)
        assert await buyer.closed() == 1007
    async with listening(conversation.buyer, origin) as again:
        await again.echo()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_one_account_has_so_many_sockets(
    conversation: Conversation, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account has a limited number of sockets at a replica; further ones are refused."""
    monkeypatch.setattr(websocket, "PER_PERSON", 1)
    async with listening(conversation.buyer, origin):
        url = address(origin, await ticket(conversation.buyer, origin))
        assert await refusal(url) == (429, "too_many_sockets")


async def test_a_slow_reader_is_dropped_and_comes_back(
    harness: ChatHarness, conversation: Conversation, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads nothing while hundreds of frames come is dropped; nothing is lost, others are unaffected."""
    monkeypatch.setattr(sockets, "CLOSING", 0.05)
    live = harness.service.app.state.live
    url = address(origin, await ticket(conversation.seller, origin))
    async with (
        listening(conversation.buyer, origin) as buyer,
        connect(url, proxy=None, compression=None, max_queue=1, close_timeout=0.1) as slow,
    ):
        async with asyncio.timeout(10):
            while conversation.seller.account_id in live.connected:  # it never reads
                live.deliver([conversation.seller.account_id], LARGE_FRAME)
                await asyncio.sleep(0)
        await conversation.write(conversation.seller)
        await buyer.has(conversation.thread_id, 1)
        slow.transport.abort()
    async with listening(conversation.seller, origin, {conversation.thread_id: 0}) as seller:
        await seller.has(conversation.thread_id, 1)


async def test_a_reader_that_recovers_finds_the_close_code(
    harness: ChatHarness, conversation: Conversation, origin: str
) -> None:
    """A slow reader that goes on reading in time finds the close code 4008 behind what was sent before."""
    live = harness.service.app.state.live
    url = address(origin, await ticket(conversation.seller, origin))
    async with connect(url, proxy=None, compression=None, max_queue=1) as slow:
        [socket] = live.presence.sockets[conversation.seller.account_id]
        async with asyncio.timeout(10):
            while socket.code is None:
                live.deliver([conversation.seller.account_id], LARGE_FRAME)
                await asyncio.sleep(0)
            with suppress(ConnectionClosed):
                while True:
                    await slow.recv()
        assert slow.close_code == sockets.SLOW


async def test_without_redis_there_are_no_tickets_and_all_else_goes_on(
    harness: ChatHarness, conversation: Conversation, keys: Keys
) -> None:
    """A replica without Redis is ready, reports it, takes and shows messages, and issues no tickets."""
    async with replicas(harness, keys, "redis://chat:secret@127.0.0.1:1/0", count=1) as [away]:
        buyer = away.same(conversation.buyer)
        started = asyncio.get_running_loop().time()
        assert_problem(await buyer.ask("POST", "/chat/tickets"), 503, "live_unavailable")
        assert await refusal(address(away.origin, "A" * 43)) == (503, "live_unavailable")
        assert asyncio.get_running_loop().time() - started < 2  # a second each, on an idle machine far less
        ready = await buyer.get("/chat/health/ready")
        assert (ready["status"], ready["parts"]["redis"]) == ("ready", False)
        await buyer.post(f"{conversation.path}/messages", {"text": "Halo"}, 201)
        assert (await buyer.get("/chat/threads"))["items"][0]["last_seq"] == 1
    assert (await harness.actors.anonymous().get("/chat/health/ready"))["parts"]["redis"] is True
