"""The operator's search: all that the services' stores have of one trace, found from any of its ids.

Each service is asked for what it has under an id. The answers name further ids (of the trace, the subject, the order),
for which all are asked again, until nothing new is named.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts import EVENTS

ROUNDS = 5
MAX_IDS = 200
"""In one request, as the services accept it."""

Found = dict[str, list[dict[str, Any]]]
Ask = Callable[[str, Sequence[UUID]], Awaitable[Found | None]]
"""What a service has under these ids; None if it does not answer."""

_CONSUMERS = {event.wire_name: event.consumed_by for event in EVENTS}
_KEYS = {
    "events": ("event_id",),
    "handled": ("event_id",),
    "parked": ("parked_id",),
    "deadlines": ("kind", "subject"),
    "records": ("kind", "id"),
}
"""What tells the entries of each kind apart."""


@dataclass
class Trace:
    """What was found, by service; `away` are the services that did not answer."""

    events: list[dict[str, Any]] = field(default_factory=list)
    """In the order of time, each with its cause, and with what became of it at each consumer."""
    parked: list[dict[str, Any]] = field(default_factory=list)
    deadlines: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    away: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return not (self.events or self.parked or self.deadlines or self.records)


async def search(ask: Ask, services: Sequence[str], start: UUID) -> Trace:
    """The whole trace that the id belongs to."""
    found: dict[str, dict[tuple[str, ...], dict[str, Any]]] = {kind: {} for kind in _KEYS}
    asked, new, away = {start}, [start], set[str]()
    for _ in range(ROUNDS):
        answers = await asyncio.gather(*(ask(service, new) for service in services))
        for service, answer in zip(services, answers, strict=True):
            if answer is None:
                away.add(service)
                continue
            for kind, names in _KEYS.items():
                for one in answer[kind]:
                    found[kind][service, *(str(one[name]) for name in names)] = {"service": service, **one}
        new = [one for one in dict.fromkeys(_named(found)) if one not in asked][:MAX_IDS]
        asked.update(new)
        if not new:
            break
    lists = {kind: list(entries.values()) for kind, entries in found.items()}
    return Trace(
        events=_told(lists["events"], lists["handled"], lists["parked"]),
        parked=sorted(lists["parked"], key=lambda one: str(one["parked_at"])),
        deadlines=sorted(lists["deadlines"], key=lambda one: str(one["due_at"])),
        records=sorted(lists["records"], key=lambda one: str(one["at"])),
        away=sorted(away),
    )


def _named(found: dict[str, dict[tuple[str, ...], dict[str, Any]]]) -> Iterator[UUID]:
    """The ids that the entries name."""
    for entries in found.values():
        for one in entries.values():
            named = [one.get(name) for name in ("event_id", "correlation_id", "subject", "id")]
            for text in (*named, *one.get("related", ())):
                try:
                    yield UUID(str(text))
                except ValueError:
                    continue


def _told(
    events: list[dict[str, Any]], handled: list[dict[str, Any]], parked: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The events, each with the type of its cause (None: a request or a deadline) and its consumers: after how many
    seconds it had its effect, or else whether it is parked or still on its way."""
    types = {one["event_id"]: one["type"] for one in events}
    effects = {(one["service"], one["event_id"]): one["at"] for one in handled}
    stuck = {(one["service"], one["event_id"]) for one in parked if one["state"] in ("parked", "replay")}
    for event in events:
        key = event["event_id"]
        event["cause"] = types.get(event["causation_id"])
        event["consumers"] = [
            {
                "service": service,
                "after": _seconds(event["at"], effects[service, key]) if (service, key) in effects else None,
                "parked": (service, key) in stuck,
            }
            for service in _CONSUMERS.get(event["type"], ())
            if service != event["service"]
        ]
    return sorted(events, key=lambda one: (str(one["at"]), str(one["event_id"])))


def _seconds(before: str, after: str) -> float:
    return max(0.0, (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds())
