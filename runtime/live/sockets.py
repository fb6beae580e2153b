"""One WebSocket: what waits for it is no queue of messages but a cursor for each conversation.

The writer only ever sends the message after the last one, so what a client sees of a conversation is n, n + 1, n + 2, …
whatever hints come twice, late, out of order or never.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from starlette.websockets import WebSocket, WebSocketDisconnect

from runtime.backoff import Backoff
from runtime.http.auth import Identity
from runtime.storage.database_errors import is_transient

QUEUE = 256
"""Frames that may come in for a socket while its client takes none."""
MAX_FRAMES = 1024
"""Frames other than messages that may wait at all."""
CLOSING = 2.0
"""Seconds that a client may take to accept the close frame."""
ABORT = "batalkan.abort"
"""The ASGI extension by which a connection is ended whose client reads nothing (`runtime.serve`)."""

RENEW = 4000
"""Close code: the access token that the ticket was issued for has run out. Get a new ticket, and resume."""
OVER = 4001
"""Close code: the session has ended. Sign in again."""
SLOW = 4008
"""Close code: too much waited for the client. Get a new ticket, and resume."""
TOO_BIG = 1009
FAILED = 1011

log = logging.getLogger(__name__)


class Archive(Protocol):
    """Where a socket finds what it has not sent yet."""

    async def after(self, conversation: UUID, seq: int) -> Sequence[tuple[int, str]]:
        """Messages of the conversation from `seq` + 1 on, as JSON, without gaps; not necessarily all there are."""

    async def start(self, conversation: UUID, since: datetime) -> int:
        """The last message of the conversation before that time, 0 if there is none."""


class Socket:
    """A connected client."""

    def __init__(self, websocket: WebSocket, person: Identity, archive: Archive) -> None:
        self.person = person
        self.since: datetime | None = None
        """When it was opened, by the database."""
        self.cursors: dict[UUID, int] = {}
        """The last message of each conversation that was sent, or that there was before."""
        self.watches: set[UUID] = set()
        """The accounts whose presence it is told of."""
        self.reads: set[UUID] = set()
        """The conversations that it asked for though they are not its person's own."""
        self.code: int | None = None
        """The code with which we closed it."""
        self._websocket = websocket
        self._archive = archive
        self._frames: deque[str] = deque()
        self._news: dict[UUID, int] = {}
        self._held = True
        self._woken = asyncio.Event()
        self._sending = False
        self._behind = 0
        self._writer: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to send."""
        self._writer = asyncio.create_task(self._write())
        self._writer.add_done_callback(self._written)

    def release(self) -> None:
        """Lets messages go out, which were held back until the client said what it has."""
        self._held = False
        self._woken.set()

    def show(self, frame: str) -> None:
        """Sends a frame that is no message."""
        if len(self._frames) >= MAX_FRAMES:
            self.drop(SLOW, "too much was waiting")
            return
        self._frames.append(frame)
        self._came()

    def news(self, conversation: UUID, head: int) -> None:
        """Says that the conversation has messages up to `head` now."""
        if head > max(self._news.get(conversation, 0), self.cursors.get(conversation, 0)):
            self._news[conversation] = head
            self._came()

    def resume(self, conversation: UUID, seq: int, head: int) -> None:
        """Goes on behind `seq`, which is what the client has; messages are there up to `head`."""
        self.cursors[conversation] = min(seq, head)
        self.news(conversation, head)

    def drop(self, code: int, reason: str) -> None:
        """Closes the connection; ends it without more ado if the client does not even take the close frame."""
        if self._ending is None:
            self.code = code
            if self._writer is not None:
                self._writer.cancel()
            self._ending = asyncio.create_task(self._end(code, reason))

    async def finish(self) -> None:
        """Stops sending; the connection is gone."""
        tasks = [task for task in (self._writer, self._ending) if task is not None]
        if self._writer is not None:
            self._writer.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _came(self) -> None:
        self._woken.set()
        if self._sending:
            self._behind += 1
            if self._behind > QUEUE:
                self.drop(SLOW, "too much was waiting")

    async def _end(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSING):
                await self._websocket.close(code, reason)
        except TimeoutError:
            abort = (self._websocket.scope.get("extensions") or {}).get(ABORT)
            if abort is not None:
                abort()
        except (OSError, RuntimeError, WebSocketDisconnect):
            log.debug("the client was gone already")

    async def _write(self) -> None:
        backoff = Backoff("PostgreSQL, for live messages", log)
        while True:
            try:
                if self._frames:
                    await self._send(self._frames.popleft())
                elif self._news and not self._held:
                    await self._send_next(*next(iter(self._news.items())))
                    backoff.reset()
                else:
                    self._woken.clear()
                    await self._woken.wait()
            except WebSocketDisconnect:
                return
            except Exception as error:
                if not is_transient(error):
                    raise
                await backoff.wait(error)

    async def _send_next(self, conversation: UUID, head: int) -> None:
        if conversation not in self.cursors:
            assert self.since is not None
            start = await self._archive.start(conversation, self.since)
            self.cursors.setdefault(conversation, start)
        messages = (
            await self._archive.after(conversation, self.cursors[conversation])
            if self.cursors[conversation] < head
            else ()
        )
        for seq, frame in messages:
            if self.cursors[conversation] != seq - 1:
                return  # the client resumed elsewhere meanwhile
            self.cursors[conversation] = seq
            await self._send(frame)
        if (not messages or self.cursors[conversation] >= head) and self._news[conversation] == head:
            del self._news[conversation]

    async def _send(self, frame: str) -> None:
        self._sending = True
        await self._websocket.send_text(frame)
        self._sending = False
        self._behind = 0

    def _written(self, writer: asyncio.Task[None]) -> None:
        if not writer.cancelled() and (error := writer.exception()):
            log.error("sending to a live client failed", exc_info=error)
            self.drop(FAILED, "internal error")
