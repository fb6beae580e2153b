"""The dashboards, the rules and the metrics fit each other: a real Prometheus scrapes the system during faults."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from unittest.mock import patch
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from batalkan import system
from batalkan.system import System, Where
from contracts.accounts import AccountRegistered
from runtime.http.request_context import METHODS
from runtime.messaging.bus import Bus
from services.accounts.demonstration import PASSWORD
from tests.conftest import Databases
from tests.harness.accounts import QUICK
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.live_client import listening
from tests.harness.prometheus import FOLDER, Prometheus, prometheus
from tests.harness.publishing import publish_as
from tests.harness.serving import served
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.servers]
MADE_UP = "made-up"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))


def queries() -> Iterator[tuple[str, str, str]]:
    """Each query of each dashboard: the dashboard, the title of the panel, the expression."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield path.stem, panel["title"], target["expr"].replace("$__rate_interval", "1m")


@pytest.fixture(scope="module")
async def observed(
    embedded_databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    """Prometheus, after a run of the whole system with faults."""
    folder = tmp_path_factory.mktemp("observed")
    buses: list[Bus] = []

    def tap(bus: Bus) -> Bus:
        buses.append(bus)
        return bus

    with (
        patch("runtime.observability.sampling.EVERY", 0.3),
        patch("runtime.observability.sampling.REST", 0),
        patch("services.refunds.metrics.SETTLED", 0),
        patch("services.accounts.passwords.PasswordHasher", lambda: QUICK),
    ):
        async with (
            embedded_databases.of_a_system() as url,
            system.running(Where(folder / "system", url, dana_timeout=1.0, settling=0.1), tap) as running,
            served(running.app) as origin,
            prometheus(folder, {"/orders/metrics": [urlsplit(origin).netloc]}, "500ms", "1s") as found,
            httpx.AsyncClient(base_url=origin) as http,
        ):
            await faults(running, http, buses[0], found)
            yield found


async def faults(running: System, http: httpx.AsyncClient, bus: Bus, found: Prometheus) -> None:
    """Cancellations, while DANA, the broker, a message, a password and customer service are not as they should be. Each
    fault is seen by Prometheus before it ends."""
    for method in ("GET", "LOCK"):
        assert (await http.request(method, f"/orders/{MADE_UP}/{MADE_UP}")).status_code in (404, 405)
    seller, buyer = await Seller.register(http, "seller"), await Buyer.register(http, "buyer")
    product = await seller.offer()
    agent = await Agent.sign_in(http, "agent@example.com", PASSWORD)
    shopper = await Buyer.register(http, "buyer")
    await shop(shopper, product)
    await buyer.link_dana()
    (await running.dana.put("/faults", json={"mode": "down"})).raise_for_status()
    late = await buyer.buy(product)
    (await buyer.cancel(late)).raise_for_status()
    await buyer.send("/cs/cases", text="Tolong batalkan.")
    await found.becomes('max(batalkan_cases_waiting) == 1 and max(batalkan_agents_on_duty{reserved="no"}) == 0')
    await agent.duty()
    await found.becomes('max(batalkan_cases_waiting) == 0 and max(batalkan_agents_on_duty{reserved="no"}) == 1')

    assert (await http.post("/accounts/token", data={"grant_type": "password", "client_id": "app"})).status_code == 400
    account = AccountRegistered(account_id=uuid4(), role="buyer", name="Twice")
    await publish_as(bus, "accounts", account, copies=2)
    (await http.post("/orders/demonstration/poison")).raise_for_status()
    await found.becomes('batalkan_parked{service="refunds", error="unreadable"} == 1')

    switches = {"connected": False}
    (await http.put("/orders/demonstration/switches", json=switches)).raise_for_status()
    await found.becomes('batalkan_relay_leader{service="orders"} == 0')
    assert (await http.get("/orders/health/ready")).status_code == 503
    await buyer.place(product)
    await found.becomes('batalkan_outbox_unpublished{service="orders"} == 1')
    first = await found.query('batalkan_outbox_oldest_age_seconds{service="orders"} > 0')
    await found.becomes(f'batalkan_outbox_oldest_age_seconds{{service="orders"}} > {first[0]["value"][1]}')
    (await http.put("/orders/demonstration/switches", json={"connected": True})).raise_for_status()
    await found.becomes('batalkan_outbox_unpublished{service="orders"} == 0')

    async with listening(buyer, urlsplit(str(http.base_url)).netloc) as listener:
        await found.becomes('batalkan_live_sockets{service="chat"} == 1')
        assert (await buyer.ask("POST", "/accounts/logout")).status_code == 204
        assert await listener.closed() == 4001
    await found.becomes('batalkan_live_sockets{service="chat"} == 0')
    await shop(shopper, product)  # what was counted once before Prometheus came has no rate
    await found.becomes("max(batalkan_refunds_not_issued) == 1")
    await found.becomes("max(batalkan_cancellations_without_money_oldest_age_seconds) > 5")


async def shop(buyer: Buyer, product: str) -> None:
    """Cancels, and gets the money."""
    order_id = await buyer.buy(product)
    (await buyer.cancel(order_id)).raise_for_status()
    await buyer.refund(order_id)


async def test_every_query_has_data(observed: Prometheus) -> None:
    """Prometheus answers every query of every dashboard with at least one number."""
    assert len(DASHBOARDS) == 4
    unanswered = list(queries())

    async def answered() -> bool:
        unanswered[:] = [one for one in unanswered if not await observed.query(one[2])]
        return not unanswered

    with suppress(TimeoutError):  # what has just happened is scraped twice before it has a rate
        await eventually(answered, within=10, every=0.5)
    assert unanswered == []


async def test_every_metric_in_a_rule_is_known(observed: Prometheus) -> None:
    """The rules name no metric that the system does not have, and Prometheus evaluates all of them."""
    names = await observed.names()
    expressions = [rule["query"] for rule in await observed.rules()]
    assert len(expressions) > 20
    used = set(re.findall(r"\bbatalkan[_:][\w:]+", " ".join(expressions)))
    assert used <= names
    assert {rule["health"] for rule in await observed.rules()} == {"ok"}


async def test_alerts_of_the_run(observed: Prometheus) -> None:
    """The parked message has fired its alert; the ledger, the deadlines and the dead letters have not."""
    firing = {series["metric"]["alertname"] for series in await observed.query('ALERTS{alertstate="firing"}')}
    assert "MessagesParked" in firing
    assert not firing & {"LedgerUnbalanced", "DeadlinesOverdue", "DeadLetters", "ServiceDown", "QueueStuck"}


async def test_labels_are_bounded(observed: Prometheus) -> None:
    """What a client makes up, a path or a method, adds no series of its own."""
    found = await observed.query("count by (method, route) (batalkan_http_seconds_count)")
    labels = {(series["metric"]["method"], series["metric"].get("route", "")) for series in found}
    assert ("other", "") in labels
    assert {method for method, _ in labels} <= {*METHODS, "other"}  # earlier tests in this process send all of them
    assert ("GET", "/orders/{order_id}") in labels
    assert not [route for _, route in labels if MADE_UP in route or re.search("[0-9a-f]{8}-", route)]
