"""The event loop of all processes."""

import asyncio
import socket
import threading
from typing import Any

import pytest


async def test_a_name_without_an_answer_delays_no_other_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the lookup of one name hangs, for many connections, another name connects at once; the name that hangs is
    asked for once, and a name without an address is an error."""
    asked, answered, lookup = [], threading.Event(), socket.getaddrinfo

    def look_up(host: str, *arguments: Any) -> Any:
        asked.append(host)
        if host == "gone.test":
            answered.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return lookup(host, *arguments)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hanging = [asyncio.create_task(asyncio.open_connection("gone.test", port)) for _ in range(8)]
    await asyncio.sleep(0)
    hanging[0].cancel()
    async with asyncio.timeout(5):
        _, writer = await asyncio.open_connection("localhost", port)
    writer.close()
    await writer.wait_closed()
    assert asked == ["gone.test", "localhost"]
    answered.set()
    outcomes = await asyncio.gather(*hanging, return_exceptions=True)
    assert [type(one) for one in outcomes] == [asyncio.CancelledError, *[socket.gaierror] * 7]
    server.close()
    await server.wait_closed()


async def test_without_a_thread_a_connection_fails_and_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no thread can be started for a lookup, the connection fails with an OSError; once there are threads again,
    the same name is looked up."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with monkeypatch.context() as few:
        few.setattr(threading.Thread, "start", cannot_start)
        with pytest.raises(OSError, match="localhost"):
            await asyncio.open_connection("localhost", port)
    async with asyncio.timeout(5):
        _, writer = await asyncio.open_connection("localhost", port)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def cannot_start(thread: threading.Thread) -> None:
    """What `Thread.start` does in a process that has all the threads that it may have."""
    raise RuntimeError("can't start new thread")
