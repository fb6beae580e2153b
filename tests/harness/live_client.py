"""A client of the live part, as a page is one: it fetches when it connects and when it is behind."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from runtime.http.client import http_client
from runtime.http.revocations import revoke
from tests.harness.actors import Json, Person

TIMEOUT = 10.0
"""Seconds after which a wait fails."""
CONVERSATIONS = {"chat": ("threads", "thread_id"), "cs": ("cases", "case_id")}
"""Of each service with conversations: the path of these, and the field with their id."""


class Messages:
    """The messages that a client has of each conversation, kept by the rule of `runtime.live.updates`."""

    def __init__(self, service: str, person: Person, last: Mapping[str, int] = MappingProxyType({})) -> None:
        """`last` has the `seq` up to which the client knows conversations from before."""
        self.of: dict[str, list[Json]] = defaultdict(list)
        self.last: dict[str, int] = defaultdict(int, last)
        self.fetches = 0
        self.wrong: list[str] = []
        """Each message that is missing in the history, or stands there in a wrong place."""
        self._person = person
        self._talks = service in CONVERSATIONS
        conversations, self._id = CONVERSATIONS.get(service, ("", ""))
        self._path = f"/{service}/{conversations}"

    async def take(self, frame: Json) -> None:
        """Adds a message that is the next one, ignores one that is there, and fetches when it is behind."""
        if not self._talks or frame["type"] not in ("message", "hint"):
            return
        message = frame.get("message")
        conversation, seq = (frame[self._id], message["seq"]) if message else (frame["conversation"], frame["seq"])
        if message and seq == self.last[conversation] + 1:
            self._add(conversation, message)
        elif seq > self.last[conversation]:
            await self.catch_up(conversation)
            if seq > self.last[conversation]:
                self.wrong.append(f"{conversation}: {seq} is not there after {self.last[conversation]}")

    async def catch_up(self, conversation: str) -> None:
        """Fetches what is behind the last message."""
        self.fetches += 1
        path = f"{self._path}/{conversation}/messages?limit=100&after="
        while page := (await self._get(f"{path}{self.last[conversation]}"))["items"]:
            for message in page:
                self._add(conversation, message)

    async def _get(self, path: str) -> Json:
        return (await self._person.ask("GET", path)).raise_for_status().json()

    def _add(self, conversation: str, message: Json) -> None:
        if message["seq"] != self.last[conversation] + 1:
            self.wrong.append(f"{conversation}: {message['seq']} after {self.last[conversation]}")
        self.last[conversation] = message["seq"]
        self.of[conversation].append(message)


class Listener:
    """What one socket was sent, and what its client has."""

    def __init__(self, socket: ClientConnection, messages: Messages) -> None:
        self.socket = socket
        self.messages = messages
        self.frames: list[Json] = []
        self._arrived = asyncio.Condition()

    async def first(self, kind: str) -> Json:
        """The first frame of one type, once it has come."""
        await self.until(lambda _: self.of(kind))
        return self.of(kind)[0]

    def of(self, kind: str) -> list[Json]:
        """The frames of one type."""
        return [frame for frame in self.frames if frame["type"] == kind]

    def sent(self, thread_id: str) -> list[int]:
        """The numbers of the messages of one thread that came as frames, in their order."""
        return [frame["message"]["seq"] for frame in self.of("message") if frame["thread_id"] == thread_id]

    async def send(self, **frame: Any) -> None:
        """Sends a frame."""
        await self.socket.send(json.dumps(frame))

    async def until(self, happened: Callable[["Listener"], Any]) -> None:
        """Waits until what came is enough, or the connection is closed."""
        async with asyncio.timeout(TIMEOUT), self._arrived:
            await self._arrived.wait_for(lambda: happened(self) or self.socket.close_code is not None)
        assert happened(self), (self.socket.close_code, self.frames)

    async def has(self, conversation: str, last: int, first: int = 1) -> None:
        """Waits for message `last` of a conversation; the client has everything from `first` on, once and in order."""
        await self.until(lambda listener: listener.messages.last[conversation] >= last)
        assert [message["seq"] for message in self.messages.of[conversation]] == list(range(first, last + 1))
        assert not self.messages.wrong

    async def echo(self) -> None:
        """Waits until everything that the service has sent until now has come."""
        had = len(self.of("pong"))
        await self.send(type="ping")
        await self.until(lambda listener: len(listener.of("pong")) > had)

    async def closed(self) -> int | None:
        """The close code, once it is closed."""
        async with asyncio.timeout(TIMEOUT):
            await self.socket.wait_closed()
        return self.socket.close_code

    async def listen(self, known: Sequence[str] = ()) -> None:
        """Fetches what is new in the conversations `known`, then takes what comes, until the end."""
        for conversation in known:
            await self.messages.catch_up(conversation)
        with suppress(ConnectionClosed):
            async for text in self.socket:
                frame = json.loads(text)
                await self.messages.take(frame)
                async with self._arrived:
                    self.frames.append(frame)
                    self._arrived.notify_all()
        async with self._arrived:
            self._arrived.notify_all()


async def ticket(person: Person, origin: str, service: str = "chat") -> str:
    """A ticket, fetched from the service at that address."""
    async with http_client(base_url=f"http://{origin}") as http:
        answer = await http.post(f"/{service}/tickets", headers={"Authorization": f"Bearer {person.token}"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


def address(origin: str, ticket: str, service: str = "chat") -> str:
    """Where the socket is opened."""
    return f"ws://{origin}/{service}/live?ticket={ticket}"


@asynccontextmanager
async def listening(
    person: Person,
    origin: str,
    after: Mapping[str, int] = MappingProxyType({}),
    *,
    follow: Sequence[str] = (),
    service: str = "chat",
) -> AsyncIterator[Listener]:
    """Connects, fetches what came `after` what the client knows, follows conversations, and takes what comes."""
    url = address(origin, await ticket(person, origin, service), service)
    async with connect(url, proxy=None, compression=None, open_timeout=TIMEOUT) as socket:
        listener = Listener(socket, Messages(service, person, after))
        task = asyncio.create_task(listener.listen(list(after)))
        if follow:
            await listener.send(type="follow", conversations=follow)
        await listener.echo()
        try:
            yield listener
        finally:
            await socket.close()
            await task


async def end_session(redis: Redis, account_id: UUID, session: str = "s") -> None:
    """What `accounts` does when a session ends."""
    async with redis.pipeline() as pipeline:
        revoke(pipeline, account_id, [session])
        await pipeline.execute()


async def refusal(url: str, **more: Any) -> tuple[int, str]:
    """Status and code with which a handshake is refused."""
    try:
        async with connect(url, proxy=None, **more):
            raise AssertionError("the socket was opened")
    except InvalidStatus as refused:
        response = refused.response
    assert response.headers["content-type"] == "application/problem+json"
    code = response.body.decode().partition('"code":"')[2].partition('"')[0]
    return response.status_code, code
