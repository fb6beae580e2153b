"""Middleware for every request: its trace context, its measurement, and headers of every response."""

import re
from time import perf_counter
from typing import TYPE_CHECKING

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.messaging.observer import NO_OBSERVER, EventObserver
from runtime.observability import trace_context
from runtime.observability.telemetry import REQUESTS

if TYPE_CHECKING:
    from runtime.observability.tracing import Tracing

ONLY_ENCRYPTED = (b"strict-transport-security", b"max-age=31536000")
"""Over https only: browsers use https for this host for a year."""
METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
"""Each label has a bounded number of values: a client can send any method."""


class RequestContextMiddleware:
    """Starts a trace for every request, puts its id into the response (`X-Correlation-Id`), and measures the request. A
    response without `Cache-Control` gets `no-store`, because most are private.

    Unexpected errors are answered here: the framework would do it outside of the trace, so that the log would not have
    its id, and would raise the error again.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: str,
        observer: EventObserver = NO_OBSERVER,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._app = app
        self._tracing = tracing
        self._service = service
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # as GET: the server omits the body; the framework has no HEAD
            scope = {**scope, "method": "GET"}
        headers = dict(scope["headers"])
        own = None if self._tracing is None else self._tracing.current()
        context = trace_context.start_context(own or _valid_traceparent(headers.get(b"traceparent")))
        security = [ONLY_ENCRYPTED] if scope["scheme"] == "https" else []
        status = 0
        started = perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += [(b"x-correlation-id", str(context.correlation_id).encode()), *security]
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        with trace_context.use_context(context):
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception as error:
                if status:  # already sent: only the connection can be closed
                    raise
                answer = await scope["app"].exception_handlers[Exception](Request(scope), error)
                await answer(scope, receive, send_with_headers)
            finally:
                seconds = perf_counter() - started
                exemplar = trace_context.span_ids(own) if own and trace_context.is_recorded(own) else None
                REQUESTS.labels(self._service, _known(method), _route(scope), str(status or 500)).observe(
                    seconds, exemplar
                )
                self._observer.requested(context, scope, status or 500, seconds)


def _valid_traceparent(header: bytes | None) -> str | None:
    text = (header or b"").decode("latin-1")
    return text if re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", text) else None


def _known(method: str) -> str:
    return method if method in METHODS else "other"


def _route(scope: Scope) -> str:
    """The path of the route as the code has it, with its parameters' names; empty if no route has answered."""
    return getattr(scope.get("route"), "path", "")
