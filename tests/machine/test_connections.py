"""How much, and how slowly, may be sent before there is an answer, and what is no HTTP at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from batalkan.system import OneOrigin
from runtime.http import connections
from runtime.http.app import create_app
from runtime.http.connections import MAX_HEAD
from tests.machine.test_gateway import ProbedService, gateway_of, listening, nothing_is_needed

HOST = b"Host: localhost\r\n"


async def _app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Reads a request to its end, and answers 200."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def exchange(address: str, *pieces: bytes) -> bytes:
    """What the server answers to these bytes before it closes the connection."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def refusal(address: str, *pieces: bytes) -> tuple[int, str]:
    """The status and the code of the problem that the server answers to these bytes."""
    head, _, body = (await exchange(address, *pieces)).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["code"]


@pytest.fixture
async def address(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Where a server listens that waits for a shorter time than usual."""
    monkeypatch.setattr(connections, "HEAD_WITHIN", 0.2)
    monkeypatch.setattr(connections, "BODY_WITHIN", 0.2)
    async with listening(_app) as address:
        yield address


CLOSE = b"Connection: close\r\n\r\n"
LARGE = [
    [b"GET /" + b"a" * MAX_HEAD + b" HTTP/1.1\r\n" + HOST + CLOSE],
    [b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * MAX_HEAD + b"\r\n" + CLOSE],
    [b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 1000, *[b"a" * 1000] * 100],
    [b"GET / HTTP/1.1\r\n" + HOST, *[b"X: a\r\n" * 200] * 100],
    [b"\r\n" * MAX_HEAD],
]


@pytest.mark.parametrize("pieces", LARGE, ids=["address", "header", "endless header", "many headers", "empty lines"])
async def test_the_head_of_a_request_has_a_bound(address: str, pieces: list[bytes]) -> None:
    """Beyond 64 KiB of address and headers the server hangs up with 431, and has kept no more than that."""
    assert await refusal(address, *pieces) == (431, "head_too_large")


SLOW = {
    "half a line": (b"GET / HT", 408),
    "half a head": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a", 408),
    "half a body": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n12345", 408),
    "half a chunk": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", 408),
    "half a second request": (b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET / HTTP/1.1\r\nHo", 200),
    "nothing": (b"", 0),
}


@pytest.mark.parametrize("kind", SLOW)
async def test_a_request_has_to_arrive_in_time(address: str, kind: str) -> None:
    """A client that sends too slowly, or nothing, is disconnected; with 408 if it has begun a request."""
    sent, expected = SLOW[kind]
    said = await exchange(address, sent)
    assert int((said or b"- 0").split(b" ", 2)[1]) == expected
    if expected != 0:
        assert said.count(b'"code": "request_timeout"') == 1


async def test_a_body_without_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast it comes, no more than a mebibyte of one request is kept, trailers included."""
    monkeypatch.setattr(connections, "LINGER", 0.05)

    async def quick(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    async with listening(quick) as address:
        host, _, port = address.partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ")

        async def go_on() -> None:
            while True:
                writer.write(b"a" * 10_000)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(go_on(), 10)
        writer.close()


async def test_a_large_request_within_the_bounds_is_served(address: str) -> None:
    """What is allowed is served, in one piece or in many, and so is the next request on the same connection."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = (
        b"POST / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 60_000 + b"\r\nContent-Length: 60000\r\n\r\n" + b"b" * 60_000
    )
    for at_once in (len(request), 10_000):
        for start in range(0, len(request), at_once):
            writer.write(request[start : start + at_once])
            await writer.drain()
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
    writer.close()


NO_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET\r\n\r\n",
    b"GET http://[::1/x HTTP/1.1\r\n" + HOST + CLOSE,
    b"OPTIONS http://localhost:99999/x HTTP/1.1\r\n" + HOST + CLOSE,
    b"CONNECT localhost HTTP/1.1\r\n" + HOST + CLOSE,
    b"G\xc3\xa9T / HTTP/1.1\r\n" + HOST + CLOSE,
    b"GET /\xff HTTP/1.1\r\n" + HOST + CLOSE,
    b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n" + CLOSE,
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\na",
    b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\na\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("raw", NO_HTTP)
async def test_bytes_that_are_not_http_are_refused_with_a_problem(address: str, raw: bytes) -> None:
    """Bytes that mean nothing, or two things, are answered with 400 and a problem."""
    assert await refusal(address, raw) == (400, "malformed_request")


STRANGE = {
    "options of all": (b"OPTIONS * HTTP/1.1\r\n" + HOST, b""),
    "no path": (b"GET * HTTP/1.1\r\n" + HOST, b""),
    "latin-1": (b"GET /shop/echo HTTP/1.1\r\n" + HOST + b"X-Mine: kop\xe9\r\n", b"kop\xe9"),
    "raw bytes": (b"GET /shop/echo HTTP/1.1\r\n" + HOST + b"X-Mine: \xff\xfe\r\n", b"\xff\xfe"),
    "cookie": (b"GET /shop/echo HTTP/1.1\r\n" + HOST + b"Cookie: a=\xe9\r\n", b"a=\xe9"),
    "name": (b"GET /shop/echo HTTP/1.1\r\n" + HOST + b"X\xe9: a\r\n", b""),
}


@pytest.fixture(scope="module")
async def entrances() -> AsyncIterator[list[str]]:
    """Where the gateway, the one origin and a service listen; a service that echoes is behind the first two."""
    service = ProbedService()
    async with (
        listening(service.app) as address,
        gateway_of({"shop": [f"http://{address}"]}) as gateway,
        listening(OneOrigin({"shop": service.app})) as origin,
        listening(create_app("shop", "", nothing_is_needed)) as plain,
    ):
        yield [gateway, origin, plain]


@pytest.mark.parametrize("kind", STRANGE)
async def test_unusual_bytes_cause_no_server_error(entrances: list[str], kind: str) -> None:
    """No entrance answers with a 5xx; bytes of headers arrive behind the gateway as they were sent."""
    request, expected = STRANGE[kind]
    for entrance in entrances:
        said = await exchange(entrance, request + CLOSE)
        assert int(said.split(b" ")[1]) < 500
        assert expected in said or entrance == entrances[-1]
