"""What every page keeps to: headers, languages, and text that stays text."""

import json
import re
from typing import Any

import httpx
import pytest

from runtime.observability.telemetry import JsonLines
from tests.harness.web import WebHarness

EVIL = "<script>alert(1)</script>'\"&"
ID = "01a214c5-b79e-7352-95a9-c56f6d9b795d"
AT = "2026-11-25T22:10:00Z"


def thread(**more: Any) -> dict[str, Any]:
    """A conversation whose every text is a script."""
    return {
        "thread_id": ID, "order_id": ID, "buyer_id": ID, "seller_id": ID, "buyer_name": EVIL, "seller_name": EVIL,
        "title": EVIL, "order_status": "processing", "unread": 1, "last_seq": 1, "active_at": AT, "online": True,
        "pending_cancellation": None, "quick_replies": [{"code": "x", "id": EVIL, "en": EVIL}],
        "last_message": message(), **more,
    }  # fmt: skip


def message(**more: Any) -> dict[str, Any]:
    """A message that is a script."""
    return {"seq": 1, "kind": "text", "sender_id": ID, "text": EVIL, "code": None, "data": None, "at": AT, **more}


def order() -> dict[str, Any]:
    """A cancelled order, with a script for a note and a title."""
    return {
        "order_id": ID, "buyer_id": ID, "seller_id": ID, "status": "cancelled", "total": 145_000,
        "paid_amount": 145_000, "currency": "IDR",
        "lines": [{"product_id": ID, "title": EVIL, "quantity": 1, "unit_price": 145_000}],
        "payment_method": "dana", "placed_at": AT, "version": 3, "history": [{"status": "cancelled", "at": AT}],
        "cancellation": {
            "allowed": False, "code": "already_cancelled", "until": AT, "channel": "app", "reason": "other",
            "note": EVIL, "at": AT,
        },
        "refund": None,
    }  # fmt: skip


async def test_script_in_names_messages_and_notes_is_text(harness: WebHarness) -> None:
    """Text of users is shown exactly as it was written, and never runs as a script."""
    said = harness.services.say
    said("GET /chat/threads", items=[thread()], next=None)
    said(f"GET /chat/threads/{ID}", **thread())
    said(f"GET /chat/threads/{ID}/messages", items=[message(), message(seq=2, kind="system", code="new")], next=None)
    said(f"GET /orders/{ID}", **order())
    said("GET /orders/cancel-reasons", items=[{"code": "other", "id": EVIL, "en": EVIL}])
    said("GET /orders/clock", now=AT)
    said("GET /accounts/me", name=EVIL, email=EVIL)
    said("GET /refunds/wallet", credit_balance=0)
    said("GET /orders", items=[order()], next=None)
    async with harness.browser() as browser:
        await harness.sign_in(browser)
        for path in ("/chat", f"/chat/{ID}", f"/chat/{ID}/messages", f"/orders/{ID}", "/account", "/orders"):
            page = await browser.get(f"/web/s/a{path}")
            assert page.status_code == 200, page.text
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
            assert "<script>alert" not in page.text
            assert EVIL not in page.text


async def test_words_that_services_have_and_pages_have_not_are_shown_as_they_are(harness: WebHarness) -> None:
    """An order with a status, a channel, a destination or a reason of a later version is a page all the same."""
    newer = order()
    newer["cancellation"] |= {"channel": "kiosk", "fault": "weather", "reason": "flooded"}
    newer |= {"payment_method": "gopay", "history": [{"status": "sealed", "at": AT}]}
    newer["refund"] = {"refund_id": ID, "state": "flying", "amount": 145_000, "destination": "moon"}
    harness.services.say(f"GET /orders/{ID}", **newer)
    harness.services.say("GET /orders", items=[newer | {"status": "sealed"}], next=None)
    harness.services.say("GET /chat/threads", items=[], next=None)
    harness.services.say("GET /orders/cancel-reasons", items=[])
    harness.services.say("GET /orders/clock", now=AT)
    async with harness.browser() as browser:
        await harness.sign_in(browser)
        page, orders = await browser.get(f"/web/s/a/orders/{ID}"), await browser.get("/web/s/a/orders")
        newer["cancellation"] |= {"channel": "system", "fault": "none", "reason": "not_paid"}
        harness.services.say(f"GET /orders/{ID}", **newer | {"paid_amount": 0, "refund": None})
        expired = await browser.get(f"/web/s/a/orders/{ID}")
    assert (page.status_code, orders.status_code, expired.status_code) == (200, 200, 200)
    assert "Pesanan dibatalkan</p>" in page.text
    assert all(word in page.text for word in ("flooded", "gopay", "sealed"))
    assert "sealed" in orders.text
    assert "dibatalkan otomatis karena belum dibayar" in expired.text
    assert "Tidak dibayar tepat waktu" in expired.text


async def test_an_unpaid_order_says_until_when_it_is_paid(harness: WebHarness) -> None:
    """On its page with the time, in the list with what is left; once it is paid, neither."""
    unpaid = order() | {"status": "unpaid", "paid_amount": 0, "pay_by": "2026-11-25T23:10:00Z"}
    unpaid["cancellation"] = {"allowed": True, "code": None, "until": "2026-11-26T22:10:00Z"}
    for known in (unpaid, unpaid | {"status": "processing", "pay_by": None}):
        harness.services.say(f"GET /orders/{ID}", **known)
        harness.services.say("GET /orders", items=[known], next=None)
        harness.services.say("GET /chat/threads", items=[], next=None)
        harness.services.say("GET /orders/cancel-reasons", items=[])
        harness.services.say("GET /orders/clock", now=AT)
        async with harness.browser() as browser:
            await harness.sign_in(browser)
            page, orders = await browser.get(f"/web/s/a/orders/{ID}"), await browser.get("/web/s/a/orders")
        assert ("Bayar sebelum 26 November 2026 pukul 06.10 WIB" in page.text) == (known is unpaid)
        assert ("dibatalkan otomatis" in page.text) == (known is unpaid)
        assert ("Bayar dalam 1 jam" in orders.text) == (known is unpaid)


async def test_the_catalogue_is_paged(harness: WebHarness) -> None:
    """A part at a time is asked for and shown, with the way to the next one; the last has none."""
    product = {"product_id": ID, "seller_id": ID, "title": "Kopi", "price": 1, "stock": 1}

    def catalogue(request: httpx.Request) -> httpx.Response:
        assert request.url.params["limit"] == "60"
        rest = request.url.params.get("cursor") == ID
        return httpx.Response(200, json={"items": [product] * (1 if rest else 60), "next": None if rest else ID})

    harness.services.answers["GET /orders/products"] = catalogue
    async with harness.browser() as browser:
        await harness.sign_in(browser)
        first = (await browser.get("/web/s/a/")).text
        (path,) = re.findall(r'href="(/web/s/a/\?cursor=[^"]+)"', first)
        last = (await browser.get(path)).text
    assert (first.count('name="product_id"'), last.count('name="product_id"')) == (60, 1)
    assert "cursor=" not in last


async def test_pages_bind_the_browser(harness: WebHarness) -> None:
    """Every answer forbids scripts and styles that are not files of ours, and frames of other sites."""
    async with harness.browser() as browser:
        for path in ("/web/", "/web/s/a/sign-in", "/web/nowhere", "/web/s/x/", "/web/s/a/account"):
            headers = (await browser.get(path)).headers
            policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
            assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
            assert policy["frame-ancestors"] == ("'self'" if path.startswith("/web/s/") else "'none'")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"


async def test_only_a_demonstration_frames_pages(harness: WebHarness) -> None:
    """Two roles side by side are for demonstrations; elsewhere no page may be put into a frame, not even by ours."""
    async with WebHarness(harness.keys, harness.services, demonstration=False).browser() as browser:
        headers = (await browser.get("/web/s/a/sign-in")).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


async def test_no_page_has_inline_scripts_or_styles(harness: WebHarness) -> None:
    """No page contains what the content security policy would block."""
    async with harness.browser() as browser:
        page = (await browser.get("/web/")).text
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page)


@pytest.mark.parametrize(
    ("cookie", "accepts", "language"),
    [
        ("", "", "id"),
        ("", "en-GB,en;q=0.9,id;q=0.1", "en"),
        ("", "id,en;q=0.9", "id"),
        ("", "de-DE,de;q=0.9,en;q=0.5", "en"),
        ("", "nonsense;q=x,en", "en"),
        ("id", "en", "id"),
        ("en", "id", "en"),
        ("fr", "en", "en"),
    ],
)
async def test_the_language_is_the_readers(harness: WebHarness, cookie: str, accepts: str, language: str) -> None:
    """The language is the chosen one, else the browser's preferred one of the two, else Indonesian; `lang` names it."""
    async with harness.browser() as browser:
        headers = {"Accept-Language": accepts, "Cookie": f"lang={cookie}" if cookie else ""}
        page = (await browser.get("/web/", headers=headers)).text
    assert f'<html lang="{language}"' in page
    assert ("Empat cara" in page) == (language == "id")


async def test_static_files_are_kept_until_they_change(harness: WebHarness) -> None:
    """Their address names what they hold, so a browser need not ask again."""
    async with harness.browser() as browser:
        page = (await browser.get("/web/")).text
        (path,) = set(re.findall(r'"(/web/static/[0-9a-f]{12}/app\.css)"', page))
        answer = await browser.get(path)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")


async def test_a_service_that_is_away_is_said_to_be(harness: WebHarness) -> None:
    """The page states that nothing is lost and offers to try again; an API client gets problem details."""

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no", request=request)

    harness.services.answers["GET /orders/products"] = away
    async with harness.browser() as browser:
        await harness.sign_in(browser)
        page = await browser.get("/web/s/a/")
        data = await browser.get("/web/s/a/", headers={"Accept": "application/json"})
    assert (page.status_code, data.status_code) == (503, 503)
    assert "Tidak ada yang hilang" in page.text
    assert data.json()["code"] == "service_away"


async def test_an_unexpected_error_is_a_page_too(harness: WebHarness, caplog: pytest.LogCaptureFixture) -> None:
    """The error page has the headers of a page and the correlation id under which the log has the error."""
    caplog.handler.setFormatter(JsonLines("web"))
    harness.services.say("GET /orders/products", items=[{"title": "without a price"}], next=None)
    async with harness.browser() as browser:
        await harness.sign_in(browser)
        page = await browser.get("/web/s/a/")
    assert page.status_code == 500
    assert "Ini kesalahan kami" in page.text
    assert page.headers["content-security-policy"]
    entries = [json.loads(line) for line in caplog.text.splitlines() if '"level": "error"' in line]
    assert [(line["message"], line["correlation_id"]) for line in entries] == [
        ("a request failed", page.headers["x-correlation-id"])
    ]
