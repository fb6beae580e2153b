"""The HTTP client of the services."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from runtime.http.client import http_client

RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def resetting() -> Iterator[str]:
    """A server that resets each connection as soon as it is accepted."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:

        def serve() -> None:
            with suppress(OSError):  # it is shut down
                while True:
                    connection, _ = server.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield "http://{}:{}".format(*server.getsockname())
        server.shutdown(socket.SHUT_RDWR)  # which `close` alone would not tell a thread that waits
        thread.join()


async def test_a_connection_that_breaks_while_it_opens_is_a_network_error(resetting: str) -> None:
    """Each request fails with an error of the network, at whichever moment the server resets the connection."""

    async def fail(http: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.NetworkError):
            await http.post(resetting)

    async with http_client() as http:
        for _ in range(100):
            await asyncio.gather(*(fail(http) for _ in range(4)))
