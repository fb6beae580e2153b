"""Chat clients, many in one process: each writes messages at an interval, and checks what it receives."""

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

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from batalkan.raw_http import RawHttpTransport

TIMEOUT = 60.0
"""Seconds for which a request is repeated while the service cannot be reached."""


class Failed(Exception):
    """A request was refused, or not answered in time."""


@dataclass
class Tally:
    """What all clients saw."""

    latencies: list[float] = field(default_factory=list)
    """Seconds from sending a message to its arrival on a socket."""
    posts: list[float] = field(default_factory=list)
    """Seconds until the answer to a message."""
    gaps: int = 0
    """Frames that were not the next one, or hinted at more, so that the client fetched."""
    doubles: int = 0
    """Frames with a message that the client had."""
    reconnects: int = 0
    repeated: Counter[str] = field(default_factory=Counter)
    """Why requests were repeated, and how often."""


class Requests:
    """Requests to random replicas, each repeated under one Idempotency-Key until it is answered."""

    def __init__(self, origins: Sequence[str], tally: Tally) -> None:
        self._origins = origins
        self._tally = tally
        self._http = httpx.AsyncClient(transport=RawHttpTransport(), timeout=10)

    async def ask(self, method: str, path: str, token: str, body: Any = None) -> Any:
        """The JSON of the answer. Raises `Failed`."""
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex}
        end = monotonic() + TIMEOUT
        while True:
            try:
                url = f"{random.choice(self._origins)}{path}"
                answer = await self._http.request(method, url, headers=headers, json=body)
                if answer.is_success:
                    return answer.json()
                error = f"{answer.status_code} {answer.text}"
                if answer.status_code < 500:
                    raise Failed(f"{method} {path}: {error}")
            except httpx.TransportError as broken:
                error = repr(broken)
            if monotonic() > end:
                raise Failed(f"{method} {path}: no answer in {TIMEOUT:.0f} s; the last error was {error}")
            self._tally.repeated[error[:60]] += 1
            await asyncio.sleep(random.uniform(0.05, 0.3))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


@dataclass
class ChatClient:
    """One client in one thread."""

    token: str
    thread_id: str
    origins: Sequence[str]
    requests: Requests
    tally: Tally
    last: int = 0
    sent: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, every: float, until: float) -> None:
        """Writes a message every `every` seconds, the first at a random moment within them."""
        due = monotonic() + random.uniform(0, every)
        while due < until:
            await asyncio.sleep(due - monotonic())
            started = monotonic()
            await self.requests.ask(
                "POST", f"/chat/threads/{self.thread_id}/messages", self.token, {"text": repr(started)}
            )
            self.tally.posts.append(monotonic() - started)
            self.sent += 1
            due += every

    async def listen(self) -> None:
        """Stays connected until cancelled; reconnects with a new ticket, and fetches what it has missed."""
        while True:
            ticket = (await self.requests.ask("POST", "/chat/tickets", self.token))["ticket"]
            url = f"{random.choice(self.origins)}/chat/live?ticket={ticket}".replace("http", "ws", 1)
            with suppress(OSError, WebSocketException):
                async with connect(url, proxy=None, compression=None, open_timeout=30, ping_interval=None) as socket:
                    self.connected.set()
                    await self._fetch()
                    async for text in socket:
                        await self._receive(json.loads(text))
            self.tally.reconnects += 1
            await asyncio.sleep(random.uniform(0, 0.5))

    async def has(self, last: int) -> None:
        """Waits until every message up to `last` has arrived."""
        while self.last < last:
            self.arrived.clear()
            await self.arrived.wait()

    async def _receive(self, frame: Any) -> None:
        if frame["type"] == "hint" and frame["seq"] > self.last:
            self.tally.gaps += 1
            await self._fetch()
        elif frame["type"] == "message":
            message = frame["message"]
            if message["seq"] == self.last + 1:
                self._add(message)
            elif message["seq"] <= self.last:
                self.tally.doubles += 1
            else:
                self.tally.gaps += 1
                await self._fetch()

    async def _fetch(self) -> None:
        path = f"/chat/threads/{self.thread_id}/messages?limit=100&after="
        while page := (await self.requests.ask("GET", f"{path}{self.last}", self.token))["items"]:
            for message in page:
                self._add(message)

    def _add(self, message: Any) -> None:
        self.tally.latencies.append(monotonic() - float(message["text"]))
        self.last = message["seq"]
        self.arrived.set()
