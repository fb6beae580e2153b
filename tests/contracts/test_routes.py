"""Who publishes, and who hears: the contracts say what the services do."""

from collections.abc import Collection
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

import pytest

import services
from contracts import EVENTS
from contracts.orders import OrderCancelled, OrderCancelRequested
from contracts.refunds import WalletLinked
from runtime.messaging.envelope import Event
from runtime.service import ServiceSpec
from runtime.settings import PORTS

HERE = sorted(module.name for module in iter_modules(services.__path__) if module.ispkg)
"""The services that there are."""


def description(service: str) -> ServiceSpec:
    """What the service is made of."""
    described: ServiceSpec = import_module(f"services.{service}.main").SPEC
    return described


def handlers(service: str) -> Collection[type[Event]]:
    """The table of a service whose handlers come with their surroundings; empty for one that hears nothing."""
    if find_spec(f"services.{service}.handlers") is None:
        return ()
    table: Collection[type[Event]] = import_module(f"services.{service}.handlers").HANDLERS
    return table


@pytest.mark.parametrize("service", HERE)
def test_a_service_hears_what_the_contracts_say(service: str) -> None:
    """It has a handler for each event that names it, and for no other."""
    heard = description(service).handlers or handlers(service)
    assert set(heard) == {event for event in EVENTS if service in event.consumed_by}


@pytest.mark.parametrize("service", HERE)
def test_a_service_publishes_what_the_contracts_say(service: str) -> None:
    """It announces each event that it is named for, and no other."""
    assert set(description(service).publishes) == {event for event in EVENTS if service in event.published_by}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.wire_name)
def test_only_services_are_named(event: type[Event]) -> None:
    """Every publisher and consumer in the contracts is a service that exists: the relay waits for its queue."""
    assert set(event.published_by) <= PORTS.keys() - {"dana", "web"}
    assert set(event.consumed_by) <= set(HERE)


def test_an_event_is_heard_under_the_key_of_each_publisher_but_oneself() -> None:
    """The keys that a service binds its queue to are those of the others who publish the event."""
    assert OrderCancelled.routing_keys("refunds") == ("orders.OrderCancelled",)
    assert OrderCancelRequested.routing_keys("orders") == ("chat.OrderCancelRequested", "cs.OrderCancelRequested")
    assert WalletLinked.routing_keys("refunds") == ()
