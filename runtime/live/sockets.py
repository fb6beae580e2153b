"""One WebSocket and its queue of frames, which are sent in the order in which they came."""

import asyncio
import logging
from collections import deque
from uuid import UUID

from starlette.websockets import WebSocket, WebSocketDisconnect

from runtime.http.auth import Identity

QUEUE = 256
"""Frames that may come for a socket while its client takes none."""
MAX_FRAMES = 1024
"""Frames that may wait at all."""
CLOSING = 2.0
"""Seconds that a client may take to accept the close frame."""
ABORT = "batalkan.abort"
"""The ASGI extension that ends a connection whose client reads nothing (`runtime.live.server`)."""

RENEW = 4000
"""Close code: the access token that the ticket was issued for has expired. Get a new ticket, connect, and fetch."""
OVER = 4001
"""Close code: the session has ended. Sign in again."""
SLOW = 4008
"""Close code: too many frames waited for the client. Get a new ticket, connect, and fetch."""
TOO_BIG = 1009
FAILED = 1011

log = logging.getLogger(__name__)


class Socket:
    """A connected client."""

    def __init__(self, websocket: WebSocket, person: Identity) -> None:
        self.person = person
        self.watches: set[UUID] = set()
        """The accounts whose presence it is sent."""
        self.follows: set[UUID] = set()
        """The conversations that it asked for."""
        self.code: int | None = None
        """The code with which the service closed it."""
        self._websocket = websocket
        self._frames: deque[str] = deque()
        self._woken = asyncio.Event()
        self._sending = False
        self._behind = 0
        self._writer: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to send."""
        self._writer = asyncio.create_task(self._write())
        self._writer.add_done_callback(self._written)

    def send(self, frame: str) -> None:
        """Sends a frame after those that wait. Drops the connection of a client that takes too few."""
        self._behind += self._sending
        if len(self._frames) >= MAX_FRAMES or self._behind > QUEUE:
            self.drop(SLOW, "too much was waiting")
            return
        self._frames.append(frame)
        self._woken.set()

    def drop(self, code: int, reason: str) -> None:
        """Closes the connection. Aborts it if the client does not take the close frame."""
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

    async def _end(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSING):
                await self._websocket.close(code, reason)
        except TimeoutError:
            abort = (self._websocket.scope.get("extensions") or {}).get(ABORT)
            if abort is not None:
                abort()
        except (OSError, RuntimeError, WebSocketDisconnect):
            log.debug("the client had disconnected already")

    async def _write(self) -> None:
        try:
            while True:
                while self._frames:
                    self._sending = True
                    await self._websocket.send_text(self._frames.popleft())
                    self._sending, self._behind = False, 0
                self._woken.clear()
                await self._woken.wait()
        except WebSocketDisconnect:
            log.debug("the client has disconnected")

    def _written(self, writer: asyncio.Task[None]) -> None:
        if not writer.cancelled() and (error := writer.exception()):
            log.error("sending to a live client failed", exc_info=error)
            self.drop(FAILED, "internal error")
