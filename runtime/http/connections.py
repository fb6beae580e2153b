"""Limits of one connection of the HTTP server: the size of a request's head, and the time for a request to arrive.

The server's own parser has no limit for either: it reads a head of any size into memory, and waits without end.
"""

import asyncio
import json
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from runtime.http.body_limit import MAX_REQUEST
from runtime.http.problems import MEDIA_TYPE, Problem

MAX_HEAD = 64 * 1024
"""Bytes of a request's first line and headers."""
MAX_MESSAGE = 16 * MAX_REQUEST
"""Bytes of a whole request with its chunk framing. A larger body than allowed is read up to this limit, then
refused."""
HEAD_WITHIN = 10.0
"""Seconds from the first byte of a request, or from connecting, to the end of its headers."""
BODY_WITHIN = 20.0
"""Seconds from then to the end of its body."""
LINGER = 1.0
"""Seconds for which a refused client that still sends may read the answer."""


class Malformed(Problem):
    """The request is not HTTP."""

    status, code, title = 400, "malformed_request", "The request is not valid HTTP"


class HeadTooLarge(Problem):
    """The first line and the headers are larger than `MAX_HEAD`."""

    status, code, title = 431, "head_too_large", "The headers are larger than 64 KiB"


class TooSlow(Problem):
    """The request did not arrive in time."""

    status, code, title = 408, "request_timeout", "The request took too long to arrive"


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol with these limits. A refusal is a problem like any other."""

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
        """A client has connected, and has `HEAD_WITHIN` seconds for a request."""
        super().connection_made(transport)
        self._expect(HEAD_WITHIN)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of one or several requests have arrived."""
        if self._refused:
            return
        if self._due is None:
            self._expect(HEAD_WITHIN)
        self._read += len(data)
        super().data_received(data)
        if self._read > (MAX_HEAD if self._in_head else MAX_MESSAGE):
            self._refuse(HeadTooLarge() if self._in_head else TooSlow("The body has no end."))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._under_way = True
        self._expect(HEAD_WITHIN)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the URL was read."""
        self._take(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header or a trailer was read."""
        self._take(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        super().on_headers_complete()  # raises for an invalid URL
        self._in_head = False
        self._expect(BODY_WITHIN)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._expect(None)
        self._read, self._head, self._in_head, self._under_way = 0, 0, True, False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Another protocol takes over the connection."""
        self._expect(None)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """The parser has failed."""
        self._refuse(HeadTooLarge() if self._large else Malformed())

    def _take(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            self._large = True
            raise httptools.HttpParserError("the head is too large")

    def _expect(self, seconds: float | None) -> None:
        """Sets the timeout of the next step, or none."""
        if self._due is not None:
            self._due.cancel()
        self._due = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        self._due = None
        if self._under_way:
            self._refuse(TooSlow())
        else:
            self.transport.close()  # there is no request

    def _refuse(self, problem: Problem) -> None:
        """Answers, unless an earlier answer is not finished, and closes the connection."""
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
        # Not at once: unread bytes would reset the connection before the client reads the answer.
        self.loop.call_later(LINGER, self.transport.close)
