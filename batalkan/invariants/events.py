"""The events: each has its effect once at each service that hears it, or is parked there.

Publishers count the events of each subject that somebody hears (`event_sequence.heard`), hearers keep the id of each
event that had its effect (`inbox`). So the numbers have to be equal. Whether the effects are the right ones is seen in
`read_models`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from batalkan.invariants.stores import Stores

CONSUMED_BY_CHAT_AND_CS = ("accounts", "orders", "refunds")
"""Publishers of whose heard events each is heard by chat and cs; those of refunds by orders, too."""

# Null: the subject is older than the counting. `runtime.messaging.retention` deletes inbox rows after 30 days.
_PUBLISHED = "select coalesce(sum(heard), 0)::bigint as heard, bool_or(heard is null) as unknown from event_sequence"
_EFFECTS = "select count(*) as effects, coalesce(min(at) < now() - interval '29 days', false) as forgets from inbox"
# What was said again because nothing was heard of the money is an event of its own.
_SAID = "select coalesce(sum(1 + reminded), 0)::bigint from cancellations"
_PARKED = "select count(*) from parked where state <> 'replayed' and event_id is not null"


@dataclass(frozen=True)
class Balance:
    """How many events a service has to hear, has heard (had their effect there), and has parked."""

    due: int
    effects: int
    parked: int


@dataclass(frozen=True)
class Found:
    """What can be said of the events: faults, and what is not there yet."""

    broken: list[str]
    pending: list[str]


async def look(stores: Stores) -> Found:
    """Compares what was published with what had its effect; says nothing where it was not counted, or is forgotten."""
    if not stores.have("accounts", "orders", "refunds", "chat", "cs"):
        return Found([], [])
    published, effects, parked = {}, {}, {}
    for service in stores.names:
        (sent,), (had,) = await stores.rows(service, _PUBLISHED), await stores.rows(service, _EFFECTS)
        if sent["unknown"] or had["forgets"]:
            return Found([], [])
        published[service], effects[service] = sent["heard"], had["effects"]
        parked[service] = await stores.value(service, _PARKED)
    cancelled = await stores.value("orders", _SAID)
    return compare(published, effects, parked, cancelled)


def compare(
    published: Mapping[str, int], effects: Mapping[str, int], parked: Mapping[str, int], cancelled: int
) -> Found:
    """Holds the numbers of each service against each other.

    What chat and cs publish is for one hearer each, but its count does not tell for whom: so each hearer's number has a
    lower bound, that of refunds is exact, and so is the sum of all.
    """
    of_all = sum(published[service] for service in CONSUMED_BY_CHAT_AND_CS)
    least = {"orders": published["refunds"], "refunds": cancelled, "chat": of_all, "cs": of_all}
    broken, pending = [], []
    for service, due in least.items():
        missing = due - effects[service] - parked[service]
        if missing > 0:
            pending.append(f"{service} has still to hear {missing} of at least {due} events")
    if effects["refunds"] > cancelled:
        broken.append(f"refunds acted on {effects['refunds']} events, and {cancelled} say that an order is cancelled")
    due = sum(least.values()) + published["chat"] + published["cs"]
    done = sum(effects[service] for service in least)
    if done > due:
        broken.append(f"{done} effects were had, of {due} events")
    elif done + sum(parked.values()) < due and not pending:
        pending.append(f"{due - done} events are still on their way")
    return Found(broken, pending)
