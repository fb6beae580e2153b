"""Tracing: the spans of one service, exported by OpenTelemetry's SDK, which reads its own standard variables.

Imported only where OTEL_EXPORTER_OTLP_ENDPOINT is set. Elsewhere `Tracing` and `Spans` are None, and contexts pass
through unchanged. docs/adr/0028 says which spans there are, and why.

A parent is named by its W3C `traceparent`, as it stands in `TraceContext`, in the outbox, in deadlines and in messages.
Whether a trace is recorded is decided where it begins; what follows in an unrecorded trace makes no spans.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from time import time_ns
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from runtime.observability.trace_context import current_context, is_recorded

STOPPING = 2.0
"""Seconds that the last export may take when the service stops."""

Attributes = Mapping[str, str | int | bool]


class Received(Protocol):
    """What a span needs of an envelope."""

    @property
    def id(self) -> UUID: ...
    @property
    def source(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def correlationid(self) -> UUID: ...
    @property
    def traceparent(self) -> str: ...


class Row(Protocol):
    """What a span needs of a row of the outbox, by the names of its columns."""

    def __getitem__(self, column: str, /) -> Any: ...


class Answered(Protocol):
    """What a span needs of a response."""

    @property
    def status_code(self) -> int: ...


R = TypeVar("R", bound=Answered)


class Tracing:
    """Starts the spans of one service. `system` and `exchange` name the broker in the semantic conventions."""

    def __init__(self, service: str, system: str, exchange: str) -> None:
        resource = Resource.create({"service.name": service})
        processor = BatchSpanProcessor(OTLPSpanExporter())
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer("batalkan")
        # A batch belongs to no trace, so no trace decides whether it is recorded: it is if one of its messages is.
        batches = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
        batches.add_span_processor(processor)
        self.batch_tracer = batches.get_tracer("batalkan")
        self._system = system
        self._exchange = exchange

    async def close(self) -> None:
        """Exports what is left, within `STOPPING` seconds."""
        stopping = Thread(target=self.provider.shutdown, daemon=True)
        stopping.start()
        await asyncio.to_thread(stopping.join, STOPPING)

    def current(self) -> str | None:
        """The `traceparent` of the span that the framework has made for this request."""
        context = get_current_span().get_span_context()
        return _traceparent(context) if context.is_valid else None

    def start(
        self,
        name: str,
        parent: str | None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        links: Sequence[Link] = (),
        start_time: int | None = None,
    ) -> Span | None:
        """A new span, the first of a trace if there is no parent; None if it is not recorded."""
        if parent is not None and not is_recorded(parent):
            return None
        above = set_span_in_context(NonRecordingSpan(_context(parent)), Context()) if parent else Context()
        span = self._tracer.start_span(name, above, kind, attributes, links, start_time)
        return span if span.is_recording() else None

    def messaging(self, operation: str, kind: str, destination: str) -> dict[str, str | int | bool]:
        """The attributes of any operation with messages."""
        return {
            "messaging.system": self._system,
            "messaging.operation.name": operation,
            "messaging.operation.type": kind,
            "messaging.destination.name": f"{self._exchange}:{destination}",
        }

    def spans(self) -> "Spans":
        """The spans of a transaction that begins now."""
        return Spans(self)

    @contextmanager
    def sending(self, rows: Sequence[Row], sent: Collection[int]) -> Iterator[dict[int, str]]:
        """Spans for publishing these rows of the outbox; gives the `traceparent` of each message by `seq`. Those not in
        `sent` at the end have failed; for the others there is a span of their wait in the outbox."""
        began = time_ns()
        spans: dict[int, Span] = {}
        for row in rows:
            attributes = self.messaging("publish", "send", row["routing_key"]) | _message(
                row["event_id"], row["correlation_id"], row["routing_key"]
            )
            name = f"publish {attributes['messaging.destination.name']}"
            if span := self.start(name, row["traceparent"], SpanKind.PRODUCER, attributes):
                spans[row["seq"]] = span
        error: BaseException | None = None
        try:
            yield {seq: _traceparent(span.get_span_context()) for seq, span in spans.items()}
        except BaseException as failure:
            error = failure
            raise
        finally:
            for row in rows:
                if (span := spans.get(row["seq"])) is None:
                    continue
                if row["seq"] not in sent:
                    _fail(span, error or "unroutable")
                else:
                    written = (row["event_id"].int >> 80) * 1_000_000  # of its UUIDv7: never the demonstration's clock
                    waited = self.start(f"outbox {row['type']}", row["traceparent"], start_time=written)
                    if waited is not None:
                        waited.end(max(began, written))
                span.end()

    async def client(self, method: str, url: str, send: Callable[[str], Awaitable[R]], template: str = "") -> R:
        """Sends an HTTP request within a span, which gets its `traceparent`. `template` is the path without ids."""
        parent, to = current_context().traceparent, urlsplit(url)
        attributes: dict[str, str | int | bool] = {
            "http.request.method": method,
            "url.full": url.partition("?")[0],
            "server.address": to.hostname or "",
            "server.port": to.port or (443 if to.scheme == "https" else 80),
        }
        if template:
            attributes["url.template"] = template
        span = self.start(f"{method} {template}".strip(), parent, SpanKind.CLIENT, attributes)
        if span is None:
            return await send(parent)
        try:
            response = await send(_traceparent(span.get_span_context()))
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 400:
                _fail(span, str(response.status_code))
        except BaseException as error:
            _fail(span, error)
            raise
        finally:
            span.end()
        return response


class Spans:
    """The spans of one transaction. They end with it: a rollback is an error of all of them."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._began = time_ns()
        self._open: list[Span] = []
        self.traceparents: dict[UUID, str] = {}
        """The span of each event that is being handled, by its id."""

    @property
    def first(self) -> str | None:
        """The `traceparent` of the first span, as an exemplar."""
        return _traceparent(self._open[0].get_span_context()) if self._open else None

    def root(self, name: str) -> str | None:
        """The first span of a trace that no request, event or deadline has begun."""
        return self._opened(self._tracing.start(name, None))

    def deadline(self, kind: str, set_by: str) -> str:
        """A deadline that fires, in the trace of what set it, and with a link to that: it may be days ago."""
        links = [Link(_context(set_by))]
        span = self._tracing.start(f"deadline {kind}", set_by, attributes={"batalkan.deadline": kind}, links=links)
        return self._opened(span) or set_by

    def process(
        self, queue: str, new: Sequence[Received], repeated: Sequence[Received] = (), operation: str = "process"
    ) -> None:
        """A span for each event, as a child of its publication. Several also share the span of their batch: it links to
        the context of each, and each of theirs to it. `repeated` have had their effect before."""
        spans = [(one, self._receive(queue, one, operation)) for one in new]
        for one, span in spans:
            if span is not None:
                self.traceparents[one.id] = _traceparent(span.get_span_context())
        for one in repeated:
            spans.append((one, self._receive(queue, one, operation)))
            if (span := spans[-1][1]) is not None:
                span.set_attribute("batalkan.duplicate", True)
        recorded = [(one, span) for one, span in spans if span is not None]
        if len(spans) > 1 and recorded:
            attributes = self._tracing.messaging(operation, "process", queue)
            batch = self._tracing.batch_tracer.start_span(
                f"{operation} {attributes['messaging.destination.name']}",
                Context(),
                SpanKind.CONSUMER,
                attributes | {"messaging.batch.message_count": len(spans)},
                [Link(_context(one.traceparent)) for one, _ in recorded],
                self._began,
            )
            self._open.append(batch)
            for _, span in recorded:
                span.add_link(batch.get_span_context())

    def _receive(self, queue: str, one: Received, operation: str) -> Span | None:
        key = f"{one.source}.{one.type}"
        attributes = self._tracing.messaging(operation, "process", f"{key}:{queue}")
        attributes |= _message(one.id, one.correlationid, key)
        name = f"{operation} {attributes['messaging.destination.name']}"
        span = self._tracing.start(name, one.traceparent, SpanKind.CONSUMER, attributes, start_time=self._began)
        self._opened(span)
        return span

    def _opened(self, span: Span | None) -> str | None:
        if span is None:
            return None
        self._open.append(span)
        return _traceparent(span.get_span_context())

    def end(self, error: BaseException | None = None) -> None:
        """Ends them, with the error for which the transaction was rolled back."""
        for span in self._open:
            if error is not None:
                _fail(span, error)
            span.end()


def _message(event_id: UUID, correlation_id: UUID, routing_key: str) -> dict[str, str | int | bool]:
    return {
        "messaging.message.id": str(event_id),
        "messaging.message.conversation_id": str(correlation_id),
        "messaging.rabbitmq.destination.routing_key": routing_key,
    }


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _context(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _fail(span: Span, error: BaseException | str) -> None:
    span.set_attribute("error.type", error if isinstance(error, str) else type(error).__qualname__)
    span.set_status(StatusCode.ERROR)
