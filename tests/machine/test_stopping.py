"""The HTTP server of a service stops without losing a request."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.shutdown import server as http_server
from runtime.shutdown.server import KEEP_ALIVE, DrainingServer

REQUEST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n"


async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Answers 200 to everything."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def server() -> AsyncIterator[DrainingServer]:
    """A server that listens."""
    config = uvicorn.Config(
        app, port=0, lifespan="off", log_config=None, http=HttpToolsProtocol, timeout_keep_alive=KEEP_ALIVE
    )
    config.load()
    server = DrainingServer(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    await server.on_tick(0)
    yield server
    for listening in server.servers:
        listening.close()


def port_of(server: DrainingServer) -> int:
    """Where it listens."""
    (listener,) = server.servers[0].sockets
    return int(listener.getsockname()[1])


class Client:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self) -> bytes:
        """The head of the answer to one more request."""
        self._writer.write(REQUEST)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert await self._reader.readexactly(2) == b"ok"
        return head

    async def is_closed(self) -> bool:
        """Waits for the end, before which nothing else comes."""
        return await self._reader.read() == b""


@asynccontextmanager
async def connected(server: DrainingServer) -> AsyncIterator[Client]:
    """A connection, as long as the block lasts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    yield Client(reader, writer)
    writer.close()
    await writer.wait_closed()


async def test_a_kept_connection_is_served_to_the_end(server: DrainingServer) -> None:
    """A request on a kept connection while the server stops is answered with `Connection: close`."""
    async with connected(server) as client:
        assert b"connection: close" not in await client.ask()
        stop = asyncio.create_task(server.shutdown())
        await asyncio.sleep(0)
        assert b"connection: close" in await client.ask()
        assert await client.is_closed()
        await stop


async def test_a_new_connection_is_served_to_the_end(server: DrainingServer) -> None:
    """A client that is connected when the server begins to stop gets an answer to its first request."""
    async with connected(server) as client:
        while not server.server_state.connections:
            await asyncio.sleep(0)
        stop = asyncio.create_task(server.shutdown())
        await asyncio.sleep(0)
        assert b"200 OK" in await client.ask()
        await stop


async def test_pending_connections_are_served(server: DrainingServer) -> None:
    """Connections that the kernel has made and that the server has not seen yet are served, too."""
    address = "127.0.0.1", port_of(server)
    pending = [socket.create_connection(address) for _ in range(5)]  # nothing runs in between: none is accepted yet
    for one in pending:
        one.sendall(REQUEST)
    await server.shutdown()
    for one in pending:
        with one:
            assert one.recv(1000).startswith(b"HTTP/1.1 200")


async def test_a_stopping_server_accepts_no_new_connection(server: DrainingServer) -> None:
    """A later connection is refused at once, so that the client can use another replica."""
    address = "127.0.0.1", port_of(server)
    await server.shutdown()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_an_idle_connection_does_not_hold_the_server_up(
    server: DrainingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection over which nothing has come for a while is closed at once."""
    async with connected(server) as client:
        await client.ask()
        monkeypatch.setattr(http_server, "LINGER", 0.0)
        stop = asyncio.create_task(server.shutdown())
        assert await client.is_closed()
        await stop
