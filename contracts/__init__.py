"""The events that travel between the services, one file per publisher."""

from contracts import accounts, chat, cs, orders, refunds
from runtime.messaging.envelope import Event

EVENTS: tuple[type[Event], ...] = tuple(
    event
    for module in (accounts, orders, refunds, cs, chat)
    for event in vars(module).values()
    if isinstance(event, type) and issubclass(event, Event) and event.__module__ == module.__name__
)
"""Every event there is, publisher by publisher."""


def events_from(publisher: str) -> tuple[type[Event], ...]:
    """The events that this service publishes."""
    return tuple(event for event in EVENTS if publisher in event.published_by)


def events_for(consumer: str) -> tuple[type[Event], ...]:
    """The events that this service consumes."""
    return tuple(event for event in EVENTS if consumer in event.consumed_by)
