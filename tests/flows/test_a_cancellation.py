"""docs/a-cancellation.md lists, for each of the four ways, the transactions and events that a recorded run shows."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from contracts import EVENTS
from tests.flows.test_customer_service_way import asked, on_duty
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import says, thread_of
from tests.harness.event_recorder import EventRecorder
from tests.harness.system import SystemUnderTest

__all__ = ["on_duty"]  # a fixture

ROOT = Path(__file__).parents[2]
CONTRACTS = {event.wire_name: event for event in EVENTS}


class Commit(NamedTuple):
    """A transaction that publishes: the service, the event that caused it (empty for a request), its events."""

    service: str
    cause: str
    events: tuple[str, ...]


def rows(way: str) -> Iterator[list[str]]:
    """The cells of the table below a heading of the page, without its head."""
    section = (ROOT / "docs/a-cancellation.md").read_text().partition(f"\n## {way}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    assert lines, way
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def events_in(cell: str) -> tuple[str, ...]:
    """The events that a cell names, in its order."""
    return tuple(word for word in re.findall(r"`(\w+)`", cell) if word in CONTRACTS)


def documented(way: str) -> list[Commit]:
    """The transactions of the page that publish."""
    commits = [Commit(row[1], "".join(events_in(row[5])), events_in(row[4])) for row in rows(way)]
    return sorted(commit for commit in commits if commit.events)


def recorded(events: list[dict[str, Any]]) -> list[Commit]:
    """The transactions of a run: events of one publisher with one time and one cause were committed together."""
    types: dict[str, str] = {}
    commits: dict[tuple[str, str, str], list[str]] = {}
    for event in events:
        cause = types.get(event["causationid"], "")
        commits.setdefault((event["source"], event["time"], cause), []).append(event["type"])
        types[event["id"]] = event["type"]
    return sorted(Commit(service, cause, tuple(names)) for (service, _, cause), names in commits.items())


async def run_of(recorder: EventRecorder, order_id: str, correlation_id: str) -> list[Commit]:
    """The transactions of one trace, once its refund is issued."""
    await recorder.wait_for(order_id, "RefundIssued")
    return recorded(recorder.trace(correlation_id))


@pytest.mark.parametrize("way", ["The app", "The website", "The chat with the seller", "Customer service"])
def test_the_page_names_code_and_consumers_that_exist(way: str) -> None:
    """Each row names functions of its services, and every event of a way has a row for each of its consumers."""
    consumers: dict[str, set[str]] = {}
    publishers: dict[str, str] = {}
    for _, services, code, _, publishes, causes in rows(way):
        for service, function in zip(services.split(", "), re.findall(r"\[`(\w+)`\]", code), strict=True):
            modules = (ROOT / "services" / service).glob("*.py")
            assert any(f"def {function}(" in module.read_text() for module in modules), (service, function)
        for event in events_in(causes):
            consumers.setdefault(event, set()).update(services.split(", "))
        publishers |= dict.fromkeys(events_in(publishes), services)
    for event, publisher in publishers.items():
        assert consumers.get(event, set()) == set(CONTRACTS[event].consumed_by) - {publisher}, event


async def test_the_app(recorder: EventRecorder, buyer: Buyer, product: str) -> None:
    """A cancellation in the app publishes what the page lists."""
    order_id = await buyer.buy(product)
    answer = await buyer.cancel(order_id)
    assert await run_of(recorder, order_id, answer.headers["X-Correlation-Id"]) == documented("The app")


async def test_the_website(recorder: EventRecorder, dana_buyer: Buyer, product: str) -> None:
    """A cancellation on the website, refunded to DANA, publishes what the page lists."""
    order_id = await dana_buyer.buy(product)
    answer = await (await dana_buyer.on_the_website()).cancel(order_id)
    assert await run_of(recorder, order_id, answer.headers["X-Correlation-Id"]) == documented("The website")


async def test_the_chat(recorder: EventRecorder, buyer: Buyer, seller: Seller, product: str) -> None:
    """A cancellation by the seller in the chat publishes what the page lists."""
    order_id = await buyer.buy(product)
    thread_id = await thread_of(buyer, order_id)
    await says(buyer, thread_id, "Kak, tolong batalkan ya.")
    answer = await seller.ask("POST", f"/chat/threads/{thread_id}/cancel")
    commits = await run_of(recorder, order_id, answer.headers["X-Correlation-Id"])
    assert commits == documented("The chat with the seller")


async def test_customer_service(
    system: SystemUnderTest, recorder: EventRecorder, on_duty: Agent, seller: Seller, product: str
) -> None:
    """A cancellation by customer service after 24 hours publishes what the page lists."""
    case = await asked(system, on_duty, seller, product)
    await system.advance(timedelta(hours=24))
    await recorder.wait_for(case.case_id, "CaseClosed")
    assert await run_of(recorder, case.order_id, case.correlation_id) == documented("Customer service")
