"""A client of the live part, as a page is one: it knows what it has, and resumes with that."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.harness.orders_actors import Json, Person

TIMEOUT = 10.0
"""Seconds after which what has not happened never will."""


@dataclass
class Listener:
    """What one socket was sent."""

    socket: ClientConnection
    frames: list[Json] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def of(self, kind: str) -> list[Json]:
        """The frames of one type."""
        return [frame for frame in self.frames if frame["type"] == kind]

    def seqs(self, thread_id: str) -> list[int]:
        """The numbers of the messages of one thread, in the order in which they came."""
        return [frame["message"]["seq"] for frame in self.of("message") if frame["thread_id"] == thread_id]

    async def publish_as(self, **frame: Any) -> None:
        """Sends a frame."""
        await self.socket.send(json.dumps(frame))

    async def until(self, happened: Callable[["Listener"], Any]) -> None:
        """Waits until what came is enough, or the connection is closed."""
        async with asyncio.timeout(TIMEOUT), self.arrived:
            await self.arrived.wait_for(lambda: happened(self) or self.socket.close_code is not None)
        assert happened(self), (self.socket.close_code, self.frames)

    async def has(self, thread_id: str, last: int, first: int = 1) -> None:
        """Waits for message `last` of a thread; everything from `first` on has come, once and in order."""
        await self.until(lambda listener: last in listener.seqs(thread_id))
        assert self.seqs(thread_id) == list(range(first, last + 1))

    async def echo(self) -> None:
        """Everything that the service had to say until now has come."""
        had = len(self.of("pong"))
        await self.publish_as(type="ping")
        await self.until(lambda listener: len(listener.of("pong")) > had)

    async def closed(self) -> int | None:
        """The close code, once it is closed."""
        async with asyncio.timeout(TIMEOUT):
            await self.socket.wait_closed()
        return self.socket.close_code

    async def listen(self) -> None:
        """Takes what comes, until the end."""
        try:
            async for text in self.socket:
                async with self.arrived:
                    self.frames.append(json.loads(text))
                    self.arrived.notify_all()
        except ConnectionClosed:
            pass
        async with self.arrived:
            self.arrived.notify_all()


async def ticket(person: Person, origin: str) -> str:
    """A ticket, fetched from the service at that address."""
    async with httpx.AsyncClient(base_url=f"http://{origin}", trust_env=False) as http:
        answer = await http.post("/chat/tickets", headers={"Authorization": f"Bearer {person.token}"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


def address(origin: str, ticket: str) -> str:
    """Where the socket is opened."""
    return f"ws://{origin}/chat/live?ticket={ticket}"


@asynccontextmanager
async def listening(
    person: Person, origin: str, after: dict[str, int] | None = None, *, resume: bool = True
) -> AsyncIterator[Listener]:
    """Connects, says what one has, and takes what comes."""
    url = address(origin, await ticket(person, origin))
    async with connect(url, proxy=None, compression=None, open_timeout=TIMEOUT) as socket:
        listener = Listener(socket)
        task = asyncio.create_task(listener.listen())
        if resume:
            await listener.publish_as(type="resume", after=after or {})
            await listener.echo()
        try:
            yield listener
        finally:
            await socket.close()
            await task
