"""The limit on the body of a request."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_REQUEST = 64 * 1024
"""Bytes of a request's body."""


class BodyLimitMiddleware:
    """Stops reading a body that is too large. The reader gets an exception with status 413, which becomes a problem
    like any other; the framework's own limit does not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = int(dict(scope["headers"]).get(b"content-length", 0))
        read = 0

        async def receive_so_much() -> Message:
            nonlocal read
            message: Message = {} if declared > MAX_REQUEST else await receive()
            read += len(message.get("body", b""))
            if max(read, declared) > MAX_REQUEST:
                raise HTTPException(413, f"A body has at most {MAX_REQUEST} bytes.")
            return message

        await self._app(scope, receive_so_much, send)
