"""Events in the code (`Event`) and on the wire (`Envelope`, CloudEvents 1.0 in structured JSON)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from runtime.observability.trace_context import TraceContext

CONTENT_TYPE = "application/cloudevents+json"
EXCHANGE = "batalkan.events"
MAX_BODY = 256 * 1024
"""Bytes. A larger body is not parsed at all."""


class Event(BaseModel):
    """A fact, or a request, that a service publishes. A subclass declares its subject, publishers and consumers:

    `class OrderCancelled(Event, subject="order_id", published_by=("orders",), consumed_by=("refunds", "chat", "cs"))`

    Its name on the wire is the name of the class, its version 1, unless `name` and `version` are given.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    wire_name: ClassVar[str]
    version: ClassVar[int]
    subject_field: ClassVar[str]
    published_by: ClassVar[tuple[str, ...]]
    consumed_by: ClassVar[tuple[str, ...]]

    def __init_subclass__(
        cls,
        *,
        name: str = "",
        version: int = 1,
        subject: str,
        published_by: tuple[str, ...],
        consumed_by: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.wire_name, cls.version, cls.subject_field = name or cls.__name__, version, subject
        cls.published_by, cls.consumed_by = published_by, consumed_by

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Ignores the keywords of the class statement, which `__init_subclass__` has read."""

    @property
    def subject(self) -> str:
        """The id of the event's subject; events of one subject are handled in their order."""
        return str(getattr(self, self.subject_field))

    @classmethod
    def dataschema(cls) -> str:
        """Name and version of the shape of `data`."""
        return f"urn:batalkan:event:{cls.wire_name}:{cls.version}"

    @classmethod
    def routing_keys(cls, consumer: str) -> tuple[str, ...]:
        """The keys under which `consumer` receives this event: one for each publisher except itself."""
        return tuple(f"{publisher}.{cls.wire_name}" for publisher in cls.published_by if publisher != consumer)


E = TypeVar("E", bound=Event)
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Envelope(BaseModel, Generic[E]):
    """One event on the wire. `sequence` counts the events of one subject at one publisher: 1, 2, 3, …"""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    source: Word
    type: Word
    subject: Word
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Word
    correlationid: UUID
    causationid: UUID
    sequence: int = Field(ge=1, le=2**31 - 1)
    traceparent: str = Field(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
    data: E

    def to_json(self) -> bytes:
        """The body of the message, in UTF-8."""
        return self.model_dump_json().encode()

    @property
    def context(self) -> TraceContext:
        """The trace context of the events that follow from this one."""
        return TraceContext(self.correlationid, self.id, self.traceparent)


class UnreadableEvent(Exception):
    """The message cannot be read, or must not be trusted; the text says why."""

    def __init__(self, why: str, event_id: UUID | None = None) -> None:
        super().__init__(why)
        self.event_id = event_id


class EventReader:
    """Reads messages into envelopes of the event classes that a service consumes, by their wire names."""

    def __init__(self, known: Mapping[str, type[Event]]) -> None:
        self._known = {name: (event, Envelope[event]) for name, event in known.items()}  # type: ignore[valid-type]

    def read(self, body: bytes, routing_key: str) -> Envelope[Any]:
        """The envelope in `body`, checked.

        Raises `UnreadableEvent` when it is too large, not a CloudEvent, of an unknown type, of the wrong shape, or
        names another service as its source than its routing key.
        """
        if len(body) > MAX_BODY:
            raise UnreadableEvent(f"too large: {len(body)} bytes, at most {MAX_BODY} are read")
        try:
            event_class, envelope_class = self._known[routing_key.rpartition(".")[2]]
            envelope: Envelope[Event] = envelope_class.model_validate_json(body)
        except (KeyError, ValidationError) as error:
            raise UnreadableEvent(self._why(body, error)) from error
        if envelope.type not in self._known:
            raise UnreadableEvent(f"of an unknown type: {envelope.type!r:.100}")
        if routing_key != f"{envelope.source}.{envelope.type}" or envelope.source not in event_class.published_by:
            raise UnreadableEvent(f"forged: from {envelope.source!r} under the key {routing_key!r}", envelope.id)
        if envelope.dataschema != event_class.dataschema() or envelope.subject != envelope.data.subject:
            raise UnreadableEvent(
                f"contradicts itself: {envelope.dataschema!r} about {envelope.subject!r}", envelope.id
            )
        return envelope

    def _why(self, body: bytes, error: Exception) -> str:
        try:
            loose = from_json(body)
        except ValueError as unreadable:
            return f"not JSON: {unreadable}"
        kind = loose.get("type") if isinstance(loose, dict) else None
        if not isinstance(kind, str) or kind not in self._known or not isinstance(error, ValidationError):
            return f"of an unknown type: {kind!r:.100}"
        return f"not a valid {kind}: {_first_problem(error)}"


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
