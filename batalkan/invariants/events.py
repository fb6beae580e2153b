"""The events: each has its effect exactly once at each consumer, or is parked there.

Publishers count the events of each subject that have a consumer (`event_sequence.heard`); consumers store the id of
each event that had its effect (`inbox`). So the numbers must be equal. `read_models` checks whether the effects are
the right ones.
"""

from collections.abc import Mapping

from batalkan.invariants.stores import Stores
from contracts import events_from

# Null: the subject is older than the counter. `runtime.messaging.retention` deletes inbox rows after 30 days.
_PUBLISHED = "select coalesce(sum(heard), 0)::bigint as heard, bool_or(heard is null) as unknown from event_sequence"
_EFFECTS = "select count(*) as effects, coalesce(min(at) < now() - interval '29 days', false) as forgets from inbox"
# Each of an order or a part has one event; a repeated one, published because no refund came, is a new event.
_CANCELLED = "select coalesce(sum(1 + reminded), 0)::bigint from cancellations"
_PARKED = "select count(*) from parked where state <> 'replayed' and event_id is not null"


async def look(stores: Stores) -> tuple[list[str], list[str]]:
    """Compares published events with effects: violations, and events that are still in flight; nothing if counters or
    inbox rows are missing."""
    if not stores.have("accounts", "orders", "refunds", "chat", "cs"):
        return [], []
    published, effects, parked = {}, {}, {}
    for service in stores.names:
        (sent,), (had,) = await stores.rows(service, _PUBLISHED), await stores.rows(service, _EFFECTS)
        if sent["unknown"] or had["forgets"]:
            return [], []
        published[service], effects[service] = sent["heard"], had["effects"]
        parked[service] = await stores.value(service, _PARKED)
    cancelled = await stores.value("orders", _CANCELLED)
    return compare(published, effects, parked, cancelled)


def compare(
    published: Mapping[str, int], effects: Mapping[str, int], parked: Mapping[str, int], cancelled: int
) -> tuple[list[str], list[str]]:
    """Compares the numbers of all services.

    A publisher counts its events, but not their consumers. So a consumer's number has only a lower bound: all events
    of those publishers whose every event it consumes. The number of refunds is exact (`cancelled`). The sum of all is
    exact while all events of a publisher have equally many consumers besides refunds.
    """
    consumers = {publisher: _consumers(publisher) for publisher in published}
    least = {
        service: sum(
            published[one] for one, sets in consumers.items() if sets and all(service in each for each in sets)
        )
        for service in effects
    }
    least["refunds"] = cancelled
    broken, pending = [], []
    for service, due in least.items():
        missing = due - effects[service] - parked[service]
        if missing > 0:
            pending.append(f"{service} still has to consume {missing} of at least {due} events")
    if effects["refunds"] > cancelled:
        broken.append(f"refunds consumed {effects['refunds']} events, but only {cancelled} cancel an order or a part")
    counts = {one: [len(each - {"refunds"}) for each in sets] or [0] for one, sets in consumers.items()}
    at_least, at_most = (
        cancelled + sum(published[one] * bound(sizes) for one, sizes in counts.items()) for bound in (min, max)
    )
    done = sum(effects.values())
    if done > at_most:
        broken.append(f"{at_most} events had {done} effects")
    elif done + sum(parked.values()) < at_least and not pending:
        pending.append(f"{at_least - done} events are still in flight")
    return broken, pending


def _consumers(publisher: str) -> list[set[str]]:
    """The consumers of each event of this publisher that another service consumes."""
    found = [set(event.consumed_by) - {publisher} for event in events_from(publisher)]
    return [each for each in found if each]
