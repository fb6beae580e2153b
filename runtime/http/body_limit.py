"""A bound on the bodies of requests."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_REQUEST = 64 * 1024
"""Bytes of a request's body."""


class BodyLimitMiddleware:
    """Stops reading a body that is too large. What reads it gets a 413 to answer with, so that it becomes a problem
    like any other, which the limit of the framework does not."""

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
