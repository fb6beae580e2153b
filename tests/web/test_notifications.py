"""Notifications, the counts in the header, and the webhooks of sellers."""

import re
from typing import Any

import httpx
import pytest

from services.notifications.domain import WebhookKind
from services.notifications.words import _TEXTS
from services.web.pages.notifications import KINDS
from services.web.speech import told
from services.web.words import knows
from tests.harness.web import Browser, Services, WebHarness
from tests.web.market import AT, ID, enter, open_market

SECRET = "whsec_c2VjcmV0"


@pytest.fixture(autouse=True)
def market(harness: WebHarness) -> None:
    """Every service has something to show."""
    open_market(harness, "Kopi")


def away(request: httpx.Request) -> httpx.Response:
    """A service that does not answer."""
    raise httpx.ConnectError("no", request=request)


@pytest.mark.parametrize("role", ["buyer", "seller"])
async def test_notifications_are_listed(harness: WebHarness, browser: Browser, role: str) -> None:
    """The newest first, in the reader's language, what is not read is marked, and each leads to its order."""
    await enter(harness, browser, role)
    page = (await browser.show("notifications", **{"Accept-Language": "en"})).text
    assert "Rp45.000 from order <bdi>Kopi</bdi> came back to DANA." in page
    assert f'href="/web/s/a/orders/{ID}"' in page
    assert page.count(">New<") == 1
    assert 'data-live="notifications"' in page


async def test_all_that_was_shown_is_marked_as_read(browser: Browser, services: Services) -> None:
    """Up to the newest on the page, so that one which has come since stays unread."""
    services.say("POST /notifications/read")
    await browser.sign_in()
    page = (await browser.show("notifications")).text
    (seq,) = re.findall(r'name="seq" value="(\d+)"', page)
    answer = await browser.submit("s/a/notifications/read", seq=seq)
    assert (answer.status_code, services.bodies("POST /notifications/read")) == (303, [{"seq": 2}])


async def test_a_count_is_left_out_while_its_service_is_away(browser: Browser, services: Services) -> None:
    """Without notifications the pages have all else, and the other count."""
    await browser.sign_in()
    assert (await browser.show("unread")).json() == {"chat": 1, "notifications": 1}
    services.answers["GET /notifications"] = away
    assert (await browser.show("unread")).json() == {"chat": 1}
    assert (await browser.show("")).status_code == 200
    page = await browser.show("notifications")
    assert page.status_code == 503
    assert "Tidak ada yang hilang" in page.text


@pytest.mark.parametrize(
    ("kind", "role", "data", "words"),
    [
        ("OrderCancelled", "buyer", {"channel": "app", "fault": "buyer"}, "Order Kopi was cancelled by the buyer"),
        ("OrderCancelled", "seller", {"channel": "system", "fault": "seller"}, "it was not shipped in time."),
        (
            "OrderItemsCancelled",
            "buyer",
            {"channel": "chat", "lines": [{"quantity": 2}] * 2},
            "by the seller; pieces: 4",
        ),
        ("SellerContacted", "seller", {"question": "Kapan?", "respond_by": AT}, "asks about order Kopi: “Kapan?”"),
        ("SellerContacted", "buyer", {"respond_by": AT}, "has asked the seller about order Kopi, who has until"),
        ("Moved", "buyer", {}, "Teks"),
        ("CaseClosed", "buyer", {"outcome": "moonlight"}, "Teks"),
        ("OrderItemsCancelled", "buyer", {}, "Teks"),
    ],
)
def test_a_notification_speaks_the_readers_language(kind: str, role: str, data: dict[str, Any], words: str) -> None:
    """It is worded from its kind and data; what is not known keeps the service's own text."""
    one = {"kind": kind, "order_id": ID, "text": "Teks", "data": {"title": "Kopi"} | data}
    assert words in re.sub("</?bdi>", "", told("en", one, role))


async def test_a_webhooks_secret_is_shown_once(browser: Browser, services: Services) -> None:
    """It stands on the page that follows its making, and on no other."""
    services.say("POST /notifications/webhooks", 201, webhook_id=ID, secret=SECRET)
    await browser.sign_in("seller")
    form = {"url": " https://shop.example/hook ", "kind-OrderPaid": "1", "kind-SellerContacted": "1"}
    page = await browser.submit("s/a/webhooks", key="k", **form)
    wanted = {"url": "https://shop.example/hook", "kinds": ["OrderPaid", "SellerContacted"]}
    assert services.bodies("POST /notifications/webhooks") == [wanted]
    assert SECRET in page.text
    assert SECRET not in (await browser.show("webhooks")).text


@pytest.mark.parametrize(
    ("kinds", "status", "problem", "words"),
    [
        ({}, 201, {}, "paling sedikit satu peristiwa"),
        ({"kind-OrderPaid": "1"}, 422, {"errors": [{"loc": ["body", "url"]}]}, "dijangkau dari internet"),
        ({"kind-OrderPaid": "1"}, 422, {"code": "address_not_allowed"}, "dijangkau dari internet"),
        ({"kind-OrderPaid": "1"}, 409, {"code": "too_many_webhooks"}, "Hapus satu dulu"),
    ],
)
async def test_a_refused_webhook_stays_as_it_was_typed(
    browser: Browser, services: Services, kinds: dict[str, str], status: int, problem: dict[str, Any], words: str
) -> None:
    """The form is open, with the address, the chosen events and what is wrong."""
    services.say("POST /notifications/webhooks", status, **problem)
    await browser.sign_in("seller")
    page = await browser.submit("s/a/webhooks", url="https://shop.example/", **kinds)
    assert page.status_code == 422
    assert words in page.text
    assert 'value="https://shop.example/"' in page.text
    assert page.text.count(" checked") == len(kinds)


async def test_a_delivery_is_sent_again_and_a_webhook_deleted(browser: Browser, services: Services) -> None:
    """Deliveries show their attempts and what came of them; each can be asked for again."""
    hook = f"/notifications/webhooks/{ID}"
    services.say(f"POST {hook}/deliveries/{ID}/redeliver", 202)
    services.answers[f"DELETE {hook}"] = httpx.Response(204)
    await browser.sign_in("seller")
    page = (await browser.show(f"webhooks/{ID}")).text
    assert all(words in page for words in ("OrderPaid", "Gagal", "Percobaan: 3", "HTTP 500"))
    for step in (ID, "delete"):
        assert (await browser.submit(f"s/a/webhooks/{ID}/{step}")).status_code == 303
    assert [one.method for one in services.asked if one.url.path.startswith(hook)] == ["GET", "POST", "DELETE"]


def test_pages_know_every_event_of_webhooks() -> None:
    """Each can be chosen."""
    assert set(KINDS) == set(WebhookKind)


@pytest.mark.parametrize("kind", sorted(_TEXTS))
def test_every_notification_has_words_in_both_languages(kind: str) -> None:
    """A kind without words would be told in Indonesian only."""
    assert knows(f"told.{kind}") or (knows(f"told.{kind}.buyer") and knows(f"told.{kind}.seller"))
