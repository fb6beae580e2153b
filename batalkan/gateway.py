"""A reverse proxy for `batalkan up --servers local`: one origin for services in separate processes, without nginx.

It streams bodies and WebSocket messages in both directions and never collects a whole body.
"""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from batalkan.local_servers import RoundRobin
from runtime.errors import NotFound
from runtime.http.app import wants_page
from runtime.http.client import Transport
from runtime.http.hosts import CheckHost
from runtime.http.problems import Problem, refuse

HOP_BY_HOP = {"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
FORWARDED = {"x-forwarded-for", "x-forwarded-proto"}
TIMEOUT = 30.0
"""Seconds within which a service must begin to answer; the rest of the answer has no limit."""
IDLE = 2.0
"""Seconds for which an idle connection to a service is kept: less than the services keep it."""
BAD_GATEWAY = 1014
"""Close code: the service closed the connection without a close frame."""
UNSENDABLE = {1005, 1006, 1015}
"""Close codes that mean "no close code" and must not be sent."""


class ServiceAway(Problem):
    """The service that the path names does not answer."""

    status, code, title = 502, "bad_gateway", "The service does not answer"


class Gateway:
    """Forwards each request and each WebSocket to the service that the first segment of its path names."""

    def __init__(self, origins: Mapping[str, Sequence[str]], allowed_hosts: Collection[str] = ()) -> None:
        """`origins`: `http://host:port` of each replica of each service; `allowed_hosts`: more names of the gateway."""
        # The bare transport: an httpx client would store one user's cookies and send them with another's requests.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=IDLE)
        self._http = Transport(limits=limits)
        self._services = RoundRobin(origins)
        self._checked = CheckHost(self._pass_on, allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._checked(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/" and scope["type"] == "http":
            await RedirectResponse("/web/", 302)(scope, receive, send)
            return
        origins = self._services.origins(scope["path"])
        if not origins and wants_page(scope):
            origins = self._services.origins("/web")  # its answer is the "not found" page
        if not origins:
            nothing = NotFound(f"No service has this path; the services are {', '.join(self._services.names)}.")
            await refuse(nothing, scope, receive, send)
            return
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        targets = [origin.copy_with(raw_path=scope["raw_path"] + query) for origin in origins]
        try:
            if scope["type"] == "websocket":
                await self._pass_socket(targets, scope, receive, send)
            else:
                await self._pass_request(targets, scope, receive, send)
        except ServiceAway as away:
            await refuse(away, scope, receive, send)

    async def close(self) -> None:
        """Closes the connections to the services."""
        await self._http.aclose()

    async def _pass_request(self, targets: Sequence[httpx.URL], scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._ask(targets, request)
        except (httpx.HTTPError, TimeoutError) as error:
            raise ServiceAway(f"{scope['path']}: {type(error).__name__}") from error
        except ClientDisconnect:
            return  # before its body was complete
        try:
            await _pass_answer(answer, receive, send)
        finally:
            await answer.aclose()

    async def _ask(self, targets: Sequence[httpx.URL], request: Request) -> httpx.Response:
        """The answer of the first replica that accepts a connection: the earlier ones were sent nothing."""
        has_body = not {"content-length", "transfer-encoding"}.isdisjoint(request.headers)
        body = request.stream() if has_body else None
        *others, last = [
            httpx.Request(request.method, url, headers=_passed_on(request), content=body) for url in targets
        ]
        for passed in others:
            with suppress(httpx.ConnectError):
                return await self._http.handle_async_request(passed)
        return await self._http.handle_async_request(last)

    async def _pass_socket(self, origins: Sequence[httpx.URL], scope: Scope, receive: Receive, send: Send) -> None:
        client = WebSocket(scope, receive, send)
        target = origins[0]  # a refused client connects again, to the next one
        named = target.copy_with(scheme="ws", netloc=client.headers["host"].encode())
        opening = connect(
            str(named),
            host=target.host,
            port=target.port,
            additional_headers=[
                (name.decode(), value.decode("latin-1"))
                for name, value in _passed_on(client)
                if name not in (b"host", b"content-length")
            ],
            user_agent_header=None,
            subprotocols=scope["subprotocols"] or None,
            compression=None,
            proxy=None,
            max_size=None,
        )
        try:
            service = await opening
        except InvalidStatus as refused:
            answer = refused.response
            headers = {name: value for name, value in answer.headers.raw_items() if name.lower() not in HOP_BY_HOP}
            await client.send_denial_response(Response(bytes(answer.body or b""), answer.status_code, headers))
            return
        except (OSError, InvalidHandshake) as error:  # TimeoutError is an OSError
            raise ServiceAway(f"{scope['path']}: {type(error).__name__}") from error
        async with service:
            await client.accept(service.subprotocol)
            await _either(_up(client, service), _down(service, client))


def _passed_on(request: Request | WebSocket) -> list[tuple[bytes, bytes]]:
    """The headers for the service: the client's own, unchanged, and the client's address and scheme."""
    dropped = HOP_BY_HOP | FORWARDED
    headers = [
        (name, value)
        for name, value in request.headers.raw
        if name.decode("latin-1") not in dropped and not name.startswith(b"sec-websocket-")
    ]
    if request.client:
        headers.append((b"x-forwarded-for", request.client.host.encode()))
    encrypted = request.scope["scheme"] in ("https", "wss")
    headers.append((b"x-forwarded-proto", b"https" if encrypted else b"http"))
    return headers


async def _pass_answer(answer: httpx.Response, receive: Receive, send: Send) -> None:
    """Sends each chunk as it arrives, until the last one or until the client disconnects."""
    headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower().decode() not in HOP_BY_HOP]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})

    async def pieces() -> None:
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        with suppress(httpx.HTTPError):  # cut off: then cut off our answer too, so that it does not look complete
            async for piece in answer.stream:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    await _either(pieces(), gone())


async def _up(client: WebSocket, service: ClientConnection) -> None:
    """Forwards the client's messages."""
    while (message := await client.receive())["type"] != "websocket.disconnect":
        text = message.get("text")
        with suppress(ConnectionClosed):
            await service.send(message["bytes"] if text is None else text)
    code = message.get("code", 1005)
    await service.close(1000 if code in UNSENDABLE else code, message.get("reason") or "")


async def _down(service: ClientConnection, client: WebSocket) -> None:
    """Forwards the service's messages."""
    with suppress(WebSocketDisconnect):
        try:
            while True:
                data = await service.recv()
                await (client.send_text(data) if isinstance(data, str) else client.send_bytes(data))
        except ConnectionClosed as closed:
            received = closed.rcvd
            code = BAD_GATEWAY if received is None else 1000 if received.code in UNSENDABLE else received.code
            await client.close(code, received.reason if received else "")


async def _either(*both: Coroutine[Any, Any, None]) -> None:
    """Runs both until one ends; cancels the other."""
    tasks = [asyncio.create_task(one) for one in both]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
