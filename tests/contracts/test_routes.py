"""Publishers and consumers: the services agree with the contracts."""

from collections.abc import Collection
from importlib import import_module
from importlib.util import find_spec

import pytest

from contracts import EVENTS, events_for, events_from
from contracts.orders import OrderCancelled, OrderCancelRequested
from contracts.refunds import WalletLinked
from runtime.messaging.envelope import Event
from runtime.service import ServiceSpec
from services import SERVICES


def description(service: str) -> ServiceSpec:
    """The `ServiceSpec` of a service."""
    described: ServiceSpec = import_module(f"services.{service}.main").SPEC
    return described


def handlers(service: str) -> Collection[type[Event]]:
    """The table `HANDLERS` of a service whose handlers get dependencies; empty for one that consumes nothing."""
    if find_spec(f"services.{service}.handlers") is None:
        return ()
    table: Collection[type[Event]] = import_module(f"services.{service}.handlers").HANDLERS
    return table


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_consumes_what_the_contracts_say(service: str) -> None:
    """It has a handler for each event that names it, and for no other."""
    handled = description(service).handlers or handlers(service)
    assert set(handled) == set(events_for(service))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_publishes_what_the_contracts_say(service: str) -> None:
    """Its description names each event that names it as publisher, and no other."""
    assert set(description(service).publishes) == set(events_from(service))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.wire_name)
def test_only_services_are_named(event: type[Event]) -> None:
    """Every publisher and consumer in the contracts is a service that exists: the relay waits for its queue."""
    assert set(event.published_by) <= set(SERVICES) - {"web"}
    assert set(event.consumed_by) <= set(SERVICES)


def test_a_service_consumes_under_the_key_of_each_other_publisher() -> None:
    """A service binds its queue to the keys of the other services that publish the event."""
    assert OrderCancelled.routing_keys("refunds") == ("orders.OrderCancelled",)
    assert OrderCancelRequested.routing_keys("orders") == ("chat.OrderCancelRequested", "cs.OrderCancelRequested")
    assert WalletLinked.routing_keys("refunds") == ()
