"""The records of the services, validated: a service that an attacker controls must not break the page."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

Text = Annotated[str, StringConstraints(max_length=400, pattern=r"^[^\x00]*$")]
"""What PostgreSQL can keep."""
Stage = Literal[
    "requested", "written", "sent", "confirmed", "handled", "failed", "repeated", "parked", "lost", "fired", "called"
]
Seconds = Annotated[float, Field(ge=0, le=4e9, allow_inf_nan=False)]
"""Up to the year 2096."""


class Record(BaseModel):
    """One step that a service recorded. Times are seconds since 1970, `took` is in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True)

    stage: Stage
    at: Seconds
    service: Text
    correlation_id: Text = Field(default="", alias="story")
    id: Text = ""
    """The event's."""
    type: Text = ""
    subject: Text = ""
    cause: Text = ""
    """The id of the event or request that this follows from."""
    request: Text = ""
    status: int = 0
    took: Seconds = 0.0
    taken: Seconds | None = None
    began: Seconds = 0.0
    ended: Seconds = 0.0
    broken: bool = False
    """Whether the event was published without required fields, as a poison message."""
    channel: Text = ""
    title: Text = ""
    """Of the first product of the event's order."""
    error: Text = ""
    key: Text = ""
    kind: Text = ""
    whom: Text = ""
    what: Text = ""
    answer: Text = ""

    @property
    def start(self) -> float:
        """When the step began."""
        return self.at - self.took

    @property
    def name(self) -> str:
        """A short name for the page."""
        return self.type or self.request or self.key or self.kind or f"{self.whom} {self.what}".strip()

    @property
    def mark(self) -> tuple[str, str, str, float]:
        """By which a repeated record is recognised."""
        return (self.stage, self.service, self.id or self.name, self.at)

    def kept(self) -> dict[str, Any]:
        """For the database: only the fields that are set."""
        return self.model_dump(by_alias=True, exclude_defaults=True)


_RECORDS = TypeAdapter(list[Record])
_EACH = TypeAdapter(Record)


class Entry(BaseModel):
    """One entry of the stream. `passed` is how many records its source had written or dropped before."""

    source: Text
    passed: Annotated[int, Field(ge=0)]
    records: list[Record]
    unreadable: int = 0


def read_entry(fields: Mapping[str, str]) -> Entry | None:
    """The entry, with those of its records that are valid; None if it is not an entry."""
    try:
        found = json.loads(fields["records"])
        entry = Entry(source=fields["teller"], passed=int(fields["passed"]), records=[])
    except (ValueError, KeyError, RecursionError):
        return None
    if not isinstance(found, list):
        return None
    entry.records, entry.unreadable = read_records(found)
    return entry


def read_records(found: list[Any]) -> tuple[list[Record], int]:
    """The valid records, and how many are invalid."""
    try:
        return _RECORDS.validate_python(found), 0
    except ValidationError:
        good = []
        for one in found:
            try:
                good.append(_EACH.validate_python(one))
            except ValidationError:
                continue
        return good, len(found) - len(good)
