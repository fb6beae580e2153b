"""One connection of the HTTP server: how large the head of a request may be, and how long a request may be on its way.

The server's own parser has no bound for either. It reads a head of any size into memory, and waits for ever.
"""

import asyncio
import json
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runtime.http.body_limit import MAX_REQUEST
from runtime.http.problems import MEDIA_TYPE, Problem

MAX_HEAD = 64 * 1024
"""Bytes of a request's first line and its headers."""
MAX_MESSAGE = 16 * MAX_REQUEST
"""Bytes of a whole request with what frames it, of which a body that is too large is heard out."""
HEAD_WITHIN = 10.0
"""Seconds from the first byte of a request, or from connecting, to the end of its headers."""
BODY_WITHIN = 20.0
"""Seconds from there to the end of its body."""
LINGER = 1.0
"""Seconds for which a client that was refused, and still sends, may read why."""


class Malformed(Problem):
    """Not HTTP."""

    status, code, title = 400, "malformed_request", "The request is not valid HTTP"


class HeadTooLarge(Problem):
    """The first line and the headers are larger than `MAX_HEAD`."""

    status, code, title = 431, "head_too_large", "The headers are larger than 64 KiB"


class TooSlow(Problem):
    """The request did not arrive in time."""

    status, code, title = 408, "request_timeout", "The request took too long to arrive"


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol with these bounds; what it refuses is a problem like any other."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read = 0
        self._head = 0
        self._in_head = True
        self._under_way = False
        self._large = False
        self._refused = False
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected, and is to ask soon."""
        super().connection_made(transport)
        self._expect(HEAD_WITHIN)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or of several."""
        if self._refused:
            return
        if self._due is None:
            self._expect(HEAD_WITHIN)
        self._read += len(data)
        super().data_received(data)
        if self._read > (MAX_HEAD if self._in_head else MAX_MESSAGE):
            self._refuse(HeadTooLarge() if self._in_head else TooSlow("The body has no end."))

    def on_message_begin(self) -> None:
        """Another request."""
        self._under_way = True
        self._expect(HEAD_WITHIN)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the first line."""
        self._take(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, before the body or behind it."""
        self._take(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """What is asked is known now."""
        super().on_headers_complete()  # fails for an address that is none
        self._in_head = False
        self._expect(BODY_WITHIN)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._expect(None)
        self._read, self._head, self._in_head, self._under_way = 0, 0, True, False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From now on frames come, and another protocol takes them."""
        self._expect(None)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """The parser gave up."""
        self._refuse(HeadTooLarge() if self._large else Malformed())

    def _take(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            self._large = True
            raise httptools.HttpParserError("the head is too large")

    def _expect(self, seconds: float | None) -> None:
        """Sets a time for what comes next, or none."""
        if self._due is not None:
            self._due.cancel()
        self._due = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        self._due = None
        if self._under_way:
            self._refuse(TooSlow())
        else:
            self.transport.close()  # it has not asked for anything

    def _refuse(self, problem: Problem) -> None:
        """Answers, unless another answer is under way or waited for, and hangs up."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._expect(None)
        before = self.cycle is None or self.cycle.response_complete
        if before if self._in_head else not self.cycle.response_started:
            body = json.dumps(problem.body()).encode()
            head = [
                STATUS_LINE[problem.status],
                b"content-type: " + MEDIA_TYPE.encode(),
                b"\r\ncontent-length: " + str(len(body)).encode(),
                b"\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
            ]
            self.transport.write(b"".join([*head, body]))
        self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.close)  # at once, and what was not read would take the answer along
