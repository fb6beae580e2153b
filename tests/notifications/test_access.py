"""Access: every route, for every kind of account that may not use it."""

from typing import Any

import pytest

from tests.harness.actors import Json, Person, assert_problem
from tests.harness.deals import Deal
from tests.harness.notifications import NotificationsHarness, Receiver, delivered, make_webhook

SELLERS_ONLY = {"buyer": 403, "agent": 403}
OWNERS_ONLY = {**SELLERS_ONLY, "other seller": 404}
WEBHOOK = "/notifications/webhooks/{webhook_id}"
ROUTES: list[tuple[str, str, Any, dict[str, int]]] = [
    # method, path, body, and the status for each who is not the webhook's seller or as they should be
    ("GET", "/notifications", None, {}),
    ("POST", "/notifications/read", {"seq": 1}, {}),
    ("POST", "/notifications/tickets", None, {}),
    ("POST", "/notifications/webhooks", {"url": "https://receiver.invalid/", "kinds": ["OrderPaid"]}, SELLERS_ONLY),
    ("GET", "/notifications/webhooks", None, SELLERS_ONLY),
    ("GET", f"{WEBHOOK}/deliveries", None, OWNERS_ONLY),
    ("POST", f"{WEBHOOK}/deliveries/{{delivery_id}}/redeliver", None, OWNERS_ONLY),
    ("DELETE", WEBHOOK, None, OWNERS_ONLY),
]
CALLERS = ("no token", "buyer", "agent", "other seller", "seller")


@pytest.fixture
async def deal(harness: NotificationsHarness) -> Deal:
    """An order."""
    return harness.deal()


@pytest.fixture
async def ids(harness: NotificationsHarness, deal: Deal, receiver: Receiver) -> Json:
    """The ids in the paths: those of a webhook of the seller's, and of a delivery."""
    webhook = await make_webhook(deal.seller, receiver.url)
    await harness.deliver(deal.placed(), deal.moved("processing"))
    found: Json = await delivered(deal.seller, webhook) | webhook
    return found


def who(harness: NotificationsHarness, deal: Deal, name: str) -> Person:
    """The account of one caller."""
    if name in ("buyer", "seller"):
        return deal.buyer if name == "buyer" else deal.seller
    return harness.actors.anonymous() if name == "no token" else harness.actors.person(name.removeprefix("other "))


async def test_every_route_is_in_the_table(harness: NotificationsHarness) -> None:
    """A route that is new must be entered here."""
    spec = harness.service.app.openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in spec.items() for method in methods}
    public = ("/health/", "/metrics", "/demonstration/")
    listed = {(method, path) for method, path, _, _ in ROUTES}
    assert {route for route in routes if not any(part in route[1] for part in public)} == listed


@pytest.mark.parametrize(("method", "path", "body", "refused"), ROUTES, ids=lambda value: str(value)[:60])
async def test_who_gets_in(
    harness: NotificationsHarness, deal: Deal, ids: Json, method: str, path: str, body: Any, refused: dict[str, int]
) -> None:
    """A route answers a stranger 404, the wrong role 403, and a request without a token 401."""
    for caller in CALLERS:
        answer = await who(harness, deal, caller).ask(method, path.format(**ids), body)
        status = 401 if caller == "no token" else refused.get(caller)
        if status is None:
            assert answer.is_success, (caller, answer.text)
        else:
            assert_problem(answer, status)
