"""The events: each has its effect exactly once at each consumer, or is parked there.

Publishers count the events of each subject that have a consumer (`event_sequence.heard`); consumers store the id of
each event that had its effect (`inbox`). So the numbers must be equal. `read_models` checks whether the effects are
the right ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from batalkan.invariants.stores import Stores

CONSUMED_BY_CHAT_AND_CS = ("accounts", "orders", "refunds")
"""Publishers whose consumed events are all consumed by chat and cs; orders consumes those of refunds, too."""

# Null: the subject is older than the counter. `runtime.messaging.retention` deletes inbox rows after 30 days.
_PUBLISHED = "select coalesce(sum(heard), 0)::bigint as heard, bool_or(heard is null) as unknown from event_sequence"
_EFFECTS = "select count(*) as effects, coalesce(min(at) < now() - interval '29 days', false) as forgets from inbox"
# A repeated OrderCancelled, published because no refund came, is a new event.
_CANCELLED = "select coalesce(sum(1 + reminded), 0)::bigint from cancellations"
_PARKED = "select count(*) from parked where state <> 'replayed' and event_id is not null"


@dataclass(frozen=True)
class Balance:
    """The numbers of events that a service has to consume, has consumed (with effect), and has parked."""

    due: int
    effects: int
    parked: int


@dataclass(frozen=True)
class Found:
    """Violations, and events that are still in flight."""

    broken: list[str]
    pending: list[str]


async def look(stores: Stores) -> Found:
    """Compares published events with effects; returns nothing if counters or inbox rows are missing."""
    if not stores.have("accounts", "orders", "refunds", "chat", "cs"):
        return Found([], [])
    published, effects, parked = {}, {}, {}
    for service in stores.names:
        (sent,), (had,) = await stores.rows(service, _PUBLISHED), await stores.rows(service, _EFFECTS)
        if sent["unknown"] or had["forgets"]:
            return Found([], [])
        published[service], effects[service] = sent["heard"], had["effects"]
        parked[service] = await stores.value(service, _PARKED)
    cancelled = await stores.value("orders", _CANCELLED)
    return compare(published, effects, parked, cancelled)


def compare(
    published: Mapping[str, int], effects: Mapping[str, int], parked: Mapping[str, int], cancelled: int
) -> Found:
    """Compares the numbers of all services.

    Each event of chat and cs has one consumer, but the counter does not say which. So each consumer's number has only a
    lower bound; the number of refunds is exact, and so is the sum of all.
    """
    of_all = sum(published[service] for service in CONSUMED_BY_CHAT_AND_CS)
    least = {"orders": published["refunds"], "refunds": cancelled, "chat": of_all, "cs": of_all}
    broken, pending = [], []
    for service, due in least.items():
        missing = due - effects[service] - parked[service]
        if missing > 0:
            pending.append(f"{service} still has to consume {missing} of at least {due} events")
    if effects["refunds"] > cancelled:
        broken.append(f"refunds consumed {effects['refunds']} events, but only {cancelled} cancel an order")
    due = sum(least.values()) + published["chat"] + published["cs"]
    done = sum(effects[service] for service in least)
    if done > due:
        broken.append(f"{due} events had {done} effects")
    elif done + sum(parked.values()) < due and not pending:
        pending.append(f"{due - done} events are still in flight")
    return Found(broken, pending)
