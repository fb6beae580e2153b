"""What the services tell, read with care: whoever takes over one of them must not break the page."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

Text = Annotated[str, StringConstraints(max_length=400, pattern=r"^[^\x00]*$")]
"""What PostgreSQL can keep."""
Stage = Literal[
    "requested", "written", "sent", "confirmed", "handled", "failed", "repeated", "parked", "fired", "called"
]
Seconds = Annotated[float, Field(ge=0, le=4e9, allow_inf_nan=False)]
"""Up to the year 2096."""


class Record(BaseModel):
    """One thing that a service saw. Times are seconds since 1970, `took` is in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: Stage
    at: Seconds
    service: Text
    story: Text = ""
    id: Text = ""
    """The event's."""
    type: Text = ""
    subject: Text = ""
    cause: Text = ""
    """The event or the story that this follows from."""
    request: Text = ""
    status: int = 0
    took: Seconds = 0.0
    taken: Seconds | None = None
    began: Seconds = 0.0
    ended: Seconds = 0.0
    broken: bool = False
    """Whether the event lacks what belongs into it: it was sent as a bad one, and says nothing of what happened."""
    error: Text = ""
    key: Text = ""
    kind: Text = ""
    whom: Text = ""
    what: Text = ""
    answer: Text = ""

    @property
    def start(self) -> float:
        """When it began."""
        return self.at - self.took

    @property
    def name(self) -> str:
        """What travels, in a word or two."""
        return self.type or self.request or self.key or self.kind or f"{self.whom} {self.what}".strip()

    @property
    def mark(self) -> tuple[str, str, str, float]:
        """By which a record that comes twice is recognised."""
        return (self.stage, self.service, self.id or self.name, self.at)

    def kept(self) -> dict[str, Any]:
        """For the database: what is said, and nothing more."""
        return self.model_dump(exclude_defaults=True)


_RECORDS = TypeAdapter(list[Record])
_EACH = TypeAdapter(Record)


class Entry(BaseModel):
    """One entry of the stream. `passed` is how many records its teller had told or dropped before."""

    teller: Text
    passed: Annotated[int, Field(ge=0)]
    records: list[Record]
    unreadable: int = 0


def read_entry(fields: Mapping[str, str]) -> Entry | None:
    """The entry, with the records in it that can be understood; None if it is none."""
    try:
        told = json.loads(fields["records"])
        entry = Entry(teller=fields["teller"], passed=int(fields["passed"]), records=[])
    except (ValueError, KeyError, RecursionError):
        return None
    if not isinstance(told, list):
        return None
    entry.records, entry.unreadable = read_records(told)
    return entry


def read_records(told: list[Any]) -> tuple[list[Record], int]:
    """The records, and how many could not be understood."""
    try:
        return _RECORDS.validate_python(told), 0
    except ValidationError:
        good = []
        for one in told:
            try:
                good.append(_EACH.validate_python(one))
            except ValidationError:
                continue
        return good, len(told) - len(good)
