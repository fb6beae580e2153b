"""The events: each has its effect exactly once at each consumer, or is parked there.

Publishers log the events that they have written (`event_log`); consumers store the id of each event that had its effect
(`inbox`). So the numbers must be equal for each consumer. `read_models` checks whether the effects are the right ones.
"""

from collections.abc import Mapping

from batalkan.invariants.stores import Stores
from contracts import EVENTS, events_for

# Null: the subject is older than the counter.
_COUNTED = "select coalesce(sum(heard), 0)::bigint as heard, bool_or(heard is null) as unknown from event_sequence"
_LOGGED = "select type, count(*) as written from event_log group by type"
# `runtime.messaging.retention` deletes the rows of log and inbox after 30 days.
_EFFECTS = "select count(*) as effects, coalesce(min(at) < now() - interval '29 days', false) as forgets from inbox"
_PARKED = """
select distinct event_id from parked p where state <> 'replayed' and event_id is not null
and not exists (select from inbox i where i.event_id = p.event_id)
"""
_PUBLISHED = "select event_id from event_log where event_id = any($1) and type = any($2)"


async def look(stores: Stores) -> tuple[list[str], list[str]]:
    """Compares published events with effects: violations, and events that are still in flight; nothing if the counters
    say that rows of a log or an inbox are missing."""
    if not stores.have(*{name for event in EVENTS for name in (*event.published_by, *event.consumed_by)}):
        return [], []
    published, effects, parked = {}, {}, {}
    for service in stores.names:
        (counted,), (had,) = await stores.rows(service, _COUNTED), await stores.rows(service, _EFFECTS)
        written = {row["type"]: row["written"] for row in await stores.rows(service, _LOGGED)}
        heard = sum(written.get(event.wire_name, 0) for event in EVENTS if set(event.consumed_by) - {service})
        if counted["unknown"] or had["forgets"] or heard != counted["heard"]:
            return [], []
        published[service], effects[service] = written, had["effects"]
        parked[service] = await _parked(stores, service)
    return compare(published, effects, parked)


async def _parked(stores: Stores, service: str) -> int:
    """How many events that were published for the service are parked there; a forged message is none of them."""
    ids = [row["event_id"] for row in await stores.rows(service, _PARKED)]
    names = [event.wire_name for event in events_for(service)]
    publishers = [name for name in stores.names if name != service]
    return sum([len(await stores.rows(publisher, _PUBLISHED, ids, names)) for publisher in publishers])


def compare(
    published: Mapping[str, Mapping[str, int]], effects: Mapping[str, int], parked: Mapping[str, int]
) -> tuple[list[str], list[str]]:
    """Compares the numbers of all services; `published` has those of each publisher by the name of the event."""
    broken, pending = [], []
    for service, done in effects.items():
        due = sum(
            written.get(event.wire_name, 0)
            for event in events_for(service)
            for publisher, written in published.items()
            if publisher != service  # no service consumes its own events
        )
        if done > due:
            broken.append(f"{service} consumed {done} events, but only {due} were published for it")
        elif (missing := due - done - parked[service]) > 0:
            pending.append(f"{service} still has to consume {missing} of {due} events")
    return broken, pending
