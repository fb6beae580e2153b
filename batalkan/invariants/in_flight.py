"""What is still in flight. It is a violation only when the system should be at rest."""

from batalkan.invariants import events
from batalkan.invariants.stores import Stores

_OUTBOX = "select count(*) from outbox"
_REPLAYS = "select count(*) from parked where state = 'replay'"
_REFUNDS = "select count(*) from refunds where state <> 'issued'"
_ASKED = "select count(*) from threads where pending is not null"
_CANCELLING = "select count(*) from cases where state = 'cancelling'"
_OVERDUE = "select count(*) from deadlines where due_at < clock_now() - interval '30 seconds'"


async def pending(stores: Stores) -> list[str]:
    """A sentence for each kind of unfinished work."""
    waits = [(service, _OUTBOX, "events in the outbox") for service in stores.names]
    waits += [(service, _REPLAYS, "messages to replay") for service in stores.names]
    waits += [(service, _OVERDUE, "deadlines that are overdue") for service in stores.names]
    waits += [
        ("refunds", _REFUNDS, "refunds in flight"),
        ("chat", _ASKED, "cancellations that the seller requested and that have no answer"),
        ("cs", _CANCELLING, "cases that wait for a cancellation"),
    ]
    found = []
    for service, query, words in waits:
        if stores.have(service) and (count := await stores.value(service, query)):
            found.append(f"{service} has {count} {words}")
    return found


async def on_the_way(stores: Stores) -> list[str]:
    """As `pending`, with the events that are between outbox and inbox."""
    return [*await pending(stores), *(await events.look(stores)).pending]
