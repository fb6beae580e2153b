"""The gateway of `up --servers local`, in front of a service that does what is asked of it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from batalkan import single_process
from batalkan.gateway import Gateway
from batalkan.servers.data_folder import free_ports
from runtime.live.sockets import ABORT


class ProbedService:
    """A service behind the gateway, and what it saw."""

    def __init__(self) -> None:
        self.forget()
        self.app = Starlette(
            routes=[
                Route("/shop/echo", self.echo, methods=["POST", "GET"]),
                Route("/shop/cookie", self.cookie),
                Route("/shop/news", self.news),
                Route("/shop/broken", self.broken),
                WebSocketRoute("/shop/live", self.live),
                WebSocketRoute("/shop/closes", self.closes),
                WebSocketRoute("/shop/refuses", self.refuses),
                WebSocketRoute("/shop/dies", self.dies),
            ]
        )

    def forget(self) -> None:
        """Begins anew."""
        self.next, self.over = asyncio.Event(), asyncio.Event()
        self.codes: list[int | None] = []

    async def echo(self, request: Request) -> Response:
        """The body, and in headers what else came."""
        received = {name: request.headers.get(name, "") for name in ("host", "cookie", "x-forwarded-for", "x-mine")}
        received["target"] = f"{request.scope['raw_path'].decode()}?{request.url.query}"
        return Response(await request.body(), 201, {f"saw-{name}": value for name, value in received.items()})

    async def cookie(self, _: Request) -> Response:
        """Two cookies."""
        answer = PlainTextResponse("here")
        answer.set_cookie("session", "secret")
        answer.set_cookie("theme", "dark")
        return answer

    async def news(self, _: Request) -> Response:
        """Server-sent events: the second on a signal from the test, and no end."""

        async def events() -> AsyncIterator[str]:
            try:
                yield "data: one\n\n"
                await self.next.wait()
                yield "data: two\n\n"
                await asyncio.Event().wait()
            finally:
                self.over.set()

        return StreamingResponse(events(), media_type="text/event-stream")

    async def broken(self, _: Request) -> Response:
        """Half an answer."""

        async def half() -> AsyncIterator[bytes]:
            yield b"half"
            raise ConnectionAbortedError

        return StreamingResponse(half())

    async def live(self, socket: WebSocket) -> None:
        """Echoes every message until the client closes."""
        await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
        await socket.send_text(f"{socket.headers['host']} {socket.headers.get('origin')} {socket.url.query}")
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            if (text := message.get("text")) is not None:
                await socket.send_text(text)
            else:
                await socket.send_bytes(message["bytes"])
        self.codes.append(message.get("code"))
        self.over.set()

    async def closes(self, socket: WebSocket) -> None:
        """Closes at once."""
        await socket.accept()
        await socket.send_text("last words")
        await socket.close(4008, "too slow")

    async def refuses(self, socket: WebSocket) -> None:
        """No handshake."""
        await socket.send_denial_response(PlainTextResponse("no", 403, {"x-why": "because"}))

    async def dies(self, socket: WebSocket) -> None:
        """Is gone without a word, as after `kill -9`."""
        await socket.accept()
        socket.scope["extensions"][ABORT]()


@asynccontextmanager
async def listening(
    app: ASGIApp, trusted_proxies: Sequence[str] = (), held: socket.socket | None = None
) -> AsyncIterator[str]:
    """`host:port` where the application is served, as `batalkan up` serves; `held` is the socket, if there is one."""
    held = held or single_process.bind("127.0.0.1", 0)
    server = single_process.server(app, trusted_proxies)
    serving = asyncio.create_task(server.serve([held]))
    try:
        yield f"127.0.0.1:{held.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def gateway_of(origins: Mapping[str, Sequence[str]], trusted_proxies: Sequence[str] = ()) -> AsyncIterator[str]:
    """Where the gateway listens."""
    made = Gateway(origins)
    async with listening(made, trusted_proxies) as address:
        yield address
    await made.close()


async def nothing_is_needed() -> Mapping[str, bool]:
    """The health checks of a service that runs alone."""
    return {}


@pytest.fixture(scope="module")
async def service() -> ProbedService:
    """The service."""
    return ProbedService()


@pytest.fixture(autouse=True)
def _forgets(service: ProbedService) -> None:
    """What it saw in another test is over."""
    service.forget()


@pytest.fixture(scope="module")
async def origin(service: ProbedService) -> AsyncIterator[str]:
    """`host:port` of the gateway in front of the service; nothing listens where `away` should be."""
    free = next(free_ports())
    async with listening(service.app) as address:
        origins = {"shop": [f"http://{address}"], "away": [f"http://127.0.0.1:{free}"]}
        async with gateway_of(origins) as front:
            yield front


@pytest.fixture
async def http(origin: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway."""
    async with httpx.AsyncClient(base_url=f"http://{origin}", trust_env=False) as client:
        yield client


async def test_a_request_arrives_as_it_was_sent(http: httpx.AsyncClient, origin: str) -> None:
    """Method, path, query, host, body and headers are the client's; only the gateway sets the client's address."""
    headers = {"X-Mine": "kopi", "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"}
    answer = await http.post("/shop/%65cho?a=1&a=%20", content=b"x" * 60_000, headers=headers)
    assert (answer.status_code, answer.content) == (201, b"x" * 60_000)
    saw = {name.removeprefix("saw-"): value for name, value in answer.headers.items() if name.startswith("saw-")}
    assert saw == {
        "host": origin,
        "cookie": "",
        "x-forwarded-for": "127.0.0.1",
        "x-mine": "kopi",
        "target": "/shop/%65cho?a=1&a=%20",
    }


async def test_cookies_reach_only_their_own_client(http: httpx.AsyncClient, origin: str) -> None:
    """Each cookie reaches the client that it was set for, and the gateway stores none."""
    answer = await http.get("/shop/cookie")
    assert [one.split("=")[0] for one in answer.headers.get_list("set-cookie")] == ["session", "theme"]
    async with httpx.AsyncClient(base_url=f"http://{origin}", trust_env=False) as other:
        assert (await other.get("/shop/echo")).headers["saw-cookie"] == ""


async def test_a_streamed_answer_comes_as_it_is_made(http: httpx.AsyncClient, service: ProbedService) -> None:
    """An event is there before the next one is made, and the service learns that the client has left."""
    async with http.stream("GET", "/shop/news") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        pieces = answer.aiter_text()
        assert await anext(pieces) == "data: one\n\n"
        service.next.set()
        assert await anext(pieces) == "data: two\n\n"
    async with asyncio.timeout(5):
        await service.over.wait()


async def test_an_aborted_answer_is_incomplete_for_the_client(http: httpx.AsyncClient) -> None:
    """What a service breaks off in the middle breaks off at the client, too."""
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get("/shop/broken")


@pytest.mark.parametrize(("path", "status", "code"), [("/x/y", 404, "not_found"), ("/away/x", 502, "bad_gateway")])
async def test_refusals_of_the_gateway_are_problems(
    http: httpx.AsyncClient, origin: str, path: str, status: int, code: str
) -> None:
    """No such service, or one that does not answer: problem details, for requests and for sockets."""
    answer = await http.get(path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{origin}{path}", proxy=None)
    assert refused.value.response.status_code == status


async def test_a_socket_speaks_both_ways(origin: str, service: ProbedService) -> None:
    """Text and bytes come through in both directions, as do origin, host, ticket, subprotocol and the close code."""
    url = f"ws://{origin}/shop/live?ticket=abc"
    async with connect(url, proxy=None, origin="http://page.example", subprotocols=[Subprotocol("chat")]) as socket:  # type: ignore[arg-type]
        assert socket.subprotocol == "chat"
        assert await socket.recv() == f"{origin} http://page.example ticket=abc"
        for said in ("halo", b"\x00\xff", "", "x" * 16_000):
            await socket.send(said)
            assert await socket.recv() == said
        await socket.close(4321)
    async with asyncio.timeout(5):
        await service.over.wait()
    assert service.codes == [4321]


async def test_a_service_closes_a_socket(origin: str) -> None:
    """The server's last message arrives, with the code and reason of its close."""
    async with connect(f"ws://{origin}/shop/closes", proxy=None) as socket:
        assert await socket.recv() == "last words"
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4008, "too slow")


async def test_a_refused_handshake_says_why(origin: str) -> None:
    """Status, headers and body of the refusal are the service's."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{origin}/shop/refuses", proxy=None)
    response = refused.value.response
    assert (response.status_code, response.headers["x-why"], response.body) == (403, "because", b"no")


async def test_a_service_that_dies_closes_its_sockets(origin: str) -> None:
    """The client gets a close code for a lost service, and can connect again."""
    async with connect(f"ws://{origin}/shop/dies", proxy=None) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1014
