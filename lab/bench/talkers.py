"""Clients of chat, many in one process: each writes now and then, and checks what it is sent."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

KEPT = 3.0
"""Seconds for which an idle connection is used again; the service closes it after five."""
TIMEOUT = 60.0
"""Seconds for which a request is repeated, under its key, while the service cannot be reached."""

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Failed(Exception):
    """The system did not do what it was asked."""


@dataclass
class Tally:
    """What all clients saw."""

    latencies: list[float] = field(default_factory=list)
    """Seconds from sending a message to its arrival on a socket."""
    posts: list[float] = field(default_factory=list)
    """Seconds until the answer to a message."""
    gaps: int = 0
    doubles: int = 0
    reconnects: int = 0
    repeated: Counter[str] = field(default_factory=Counter)
    """Why requests were repeated, and how often."""


class Posts:
    """POST requests over kept connections, by hand: an HTTP client would take more time than the service does."""

    def __init__(self, origins: Sequence[str], tally: Tally) -> None:
        self._origins = origins
        self._tally = tally
        self._free: list[tuple[float, Line]] = []

    async def post(self, path: str, token: str, body: Any = None) -> Any:
        """The JSON of the answer. Repeated under one Idempotency-Key until there is one."""
        content = json.dumps(body).encode() if body is not None else b""
        head = f"Authorization: Bearer {token}\r\nIdempotency-Key: {uuid4().hex}\r\nContent-Length: {len(content)}\r\n"
        kind = "Content-Type: application/json\r\n" if content else ""
        request = f"POST {path} HTTP/1.1\r\nHost: chat\r\n{head}{kind}\r\n".encode() + content
        end = monotonic() + TIMEOUT
        while True:
            try:
                status, answer = await self._exchange(request)
                if status < 400:
                    return json.loads(answer)
                wrong = f"{status} {answer.decode()}"
                if status < 500:
                    raise Failed(f"POST {path}: {wrong}")
            except (OSError, EOFError) as error:
                wrong = repr(error)
            if monotonic() > end:
                raise Failed(f"POST {path}: no answer in {TIMEOUT:.0f} s, at last {wrong}")
            self._tally.repeated[wrong[:60]] += 1
            await asyncio.sleep(random.uniform(0.05, 0.3))

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        since, line = self._free.pop() if self._free else (0.0, None)
        if line is None or monotonic() - since > KEPT:
            self.close()  # the others are older still
            line = await self._connect()
        reader, writer = line
        try:
            writer.write(request)
            async with asyncio.timeout(10):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length:")[2].partition("\r\n")[0])
                answer = await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if "connection: close" in head:
            writer.close()
        else:
            self._free.append((monotonic(), line))
        return int(head.split()[1]), answer

    async def _connect(self) -> Line:
        host, _, port = random.choice(self._origins).removeprefix("http://").partition(":")
        return await asyncio.open_connection(host, int(port or 80))

    def close(self) -> None:
        """Closes what is kept."""
        for _, (_, writer) in self._free:
            writer.close()
        self._free.clear()


@dataclass
class Talker:
    """One client in one thread."""

    token: str
    thread_id: str
    origins: Sequence[str]
    posts: Posts
    tally: Tally
    last: int = 0
    sent: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, every: float, until: float) -> None:
        """Writes every so many seconds, beginning somewhere in the first of them."""
        due = monotonic() + random.uniform(0, every)
        while due < until:
            await asyncio.sleep(due - monotonic())
            started = monotonic()
            await self.posts.post(f"/chat/threads/{self.thread_id}/messages", self.token, {"text": repr(started)})
            self.tally.posts.append(monotonic() - started)
            self.sent += 1
            due += every

    async def listen(self) -> None:
        """Stays connected until cancelled: after each break with a new ticket, from where it was."""
        while True:
            ticket = (await self.posts.post("/chat/tickets", self.token))["ticket"]
            url = f"{random.choice(self.origins)}/chat/live?ticket={ticket}".replace("http", "ws", 1)
            with suppress(OSError, WebSocketException):
                async with connect(url, proxy=None, compression=None, open_timeout=30, ping_interval=None) as socket:
                    await socket.send(json.dumps({"type": "resume", "after": {self.thread_id: self.last}}))
                    self.connected.set()
                    async for text in socket:
                        self._hear(json.loads(text))
            self.tally.reconnects += 1
            await asyncio.sleep(random.uniform(0, 0.5))

    async def has(self, last: int) -> None:
        """Waits until every message up to `last` has come."""
        while self.last < last:
            self.arrived.clear()
            await self.arrived.wait()

    def _hear(self, frame: Any) -> None:
        if frame["type"] != "message":
            return
        message = frame["message"]
        self.tally.latencies.append(monotonic() - float(message["text"]))
        if message["seq"] <= self.last:
            self.tally.doubles += 1  # or out of order, which is the same here: it is not the next
        elif message["seq"] > self.last + 1:
            self.tally.gaps += 1
        self.last = max(self.last, message["seq"])
        self.arrived.set()
