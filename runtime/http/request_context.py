"""What every request gets: a trace context, a measurement, and the headers that each response carries."""

from time import perf_counter

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.messaging.observer import NO_OBSERVER, EventObserver
from runtime.observability import trace_context
from runtime.observability.telemetry import REQUESTS

ONLY_ENCRYPTED = (b"strict-transport-security", b"max-age=31536000")
"""Over https only, where a browser heeds it: for a year it asks this host in no other way."""


class RequestContextMiddleware:
    """Opens a story for every request, names it in the answer (`X-Correlation-Id`), and measures the request. An answer
    that does not say how long it may be kept is kept by nobody: most are private.

    What nobody foresaw is answered here: the framework would do so outside of the story, so that the log could not name
    it, and would raise the error all the same.
    """

    def __init__(self, app: ASGIApp, service: str, observer: EventObserver = NO_OBSERVER) -> None:
        self._app = app
        self._service = service
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # is GET, of whose answer the server leaves out the body; the framework does not know that
            scope = {**scope, "method": "GET"}
        headers = dict(scope["headers"])
        told = trace_context.start_context(_valid_traceparent(headers.get(b"traceparent")))
        guards = [ONLY_ENCRYPTED] if scope["scheme"] == "https" else []
        status = 0
        started = perf_counter()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += [(b"x-correlation-id", str(told.correlation_id).encode()), *guards]
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        with trace_context.use_context(told):
            try:
                await self._app(scope, receive, send_named)
            except Exception as error:
                if status:  # has been sent: what is left is to break off
                    raise
                answer = await scope["app"].exception_handlers[Exception](Request(scope), error)
                await answer(scope, receive, send_named)
            finally:
                seconds = perf_counter() - started
                REQUESTS.labels(self._service, method, str(status or 500)).observe(seconds)
                self._observer.requested(told, scope, status or 500, seconds)


def _valid_traceparent(header: bytes | None) -> str | None:
    text = (header or b"").decode("latin-1")
    parts = text.split("-")
    lengths = [len(part) for part in parts]
    if lengths == [2, 32, 16, 2] and parts[0] == "00" and all(c in "0123456789abcdef-" for c in text):
        return text
    return None
