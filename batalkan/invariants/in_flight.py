"""What is still in flight. It is a violation only when the system should be at rest."""

from batalkan.invariants import events
from batalkan.invariants.stores import Stores

_EVERYWHERE = (
    ("select count(*) from outbox", "events in the outbox"),
    ("select count(*) from parked where state = 'replay'", "messages to replay"),
    ("select count(*) from deadlines where due_at < clock_now() - interval '30 seconds'", "deadlines that are overdue"),
)
_ONE_SERVICE = {
    "refunds": ("select count(*) from refunds where state <> 'issued'", "refunds in flight"),
    "chat": (
        "select count(*) from threads where pending is not null",
        "cancellations that the seller requested and that have no answer",
    ),
    "cs": ("select count(*) from cases where state = 'cancelling'", "cases that wait for a cancellation"),
}


async def pending(stores: Stores) -> list[str]:
    """A sentence for each kind of unfinished work."""
    return [
        f"{service} has {count} {words}"
        for service in stores.names
        for query, words in (*_EVERYWHERE, *([_ONE_SERVICE[service]] if service in _ONE_SERVICE else []))
        if (count := await stores.value(service, query))
    ]


async def on_the_way(stores: Stores) -> list[str]:
    """As `pending`, with the events that are between outbox and inbox."""
    return [*await pending(stores), *(await events.look(stores))[1]]
