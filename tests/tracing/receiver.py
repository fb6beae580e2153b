"""A receiver of spans over OTLP, and the trees that they form."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """The spans so far. `url` is the value of OTEL_EXPORTER_OTLP_ENDPOINT."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[tuple[str, Span]] = []
        """Each with the name of its service."""

    def receive(self, body: bytes) -> None:
        """Adds the spans of one export."""
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            of = {pair.key: pair.value.string_value for pair in group.resource.attributes}
            self.spans += [(of["service.name"], span) for scope in group.scope_spans for span in scope.spans]

    def named(self, name: str, trace_id: str = "") -> list[Span]:
        """The spans whose name begins like this, of one trace or of all."""
        return [span for _, span in self.spans if span.name.startswith(name) and trace_id in ("", span.trace_id.hex())]

    def tree(self, trace_id: str, above: str = "") -> list[str]:
        """The spans of a trace, a line each, indented below their parents, in the order of the alphabet; those of a
        duplicate, and those that failed, say so. `above` is a span of the client. A span whose parent is missing is an
        orphan."""
        spans = [(service, span) for service, span in self.spans if span.trace_id.hex() == trace_id]
        ids = {span.span_id.hex() for _, span in spans}
        assert len(ids) == len(spans)

        def below(parent: str) -> list[list[str]]:
            found = [
                [_line(service, span), *("  " + line for lines in below(span.span_id.hex()) for line in lines)]
                for service, span in spans
                if span.parent_span_id.hex() == parent
            ]
            return sorted(found)

        orphans = [
            f"orphan: {_line(service, span)}"
            for service, span in spans
            if span.parent_span_id.hex() not in ids | {above}
        ]
        return [*orphans, *(line for lines in below(above) for line in lines)]


def _line(service: str, span: Span) -> str:
    name = span.name.replace("batalkan.events:", "")
    duplicate = any(pair.key == "batalkan.duplicate" for pair in span.attributes)
    failed = next((pair.value.string_value for pair in span.attributes if pair.key == "error.type"), "")
    return f"{service}: {name}{' (duplicate)' if duplicate else ''}{f' ({failed})' if failed else ''}"


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receives inside the block, on a port of its own."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                receiver.receive(body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        yield receiver
        server.shutdown()
        thread.join()
