"""What every page keeps to: headers, languages, and text that stays text."""

import json
import re
from uuid import UUID

import httpx
import jwt
import pytest

from runtime.observability.telemetry import JsonLines
from tests.harness.web import Browser, Services, WebHarness
from tests.web.market import AT, GONE, ID, cancelled, case, enter, open_market, order


async def test_words_that_services_have_and_pages_have_not_are_shown_as_they_are(
    harness: WebHarness, browser: Browser
) -> None:
    """An order with a status, a channel, a destination or a reason of a later version is a page all the same."""
    open_market(harness, "Kopi")
    newer = cancelled("Kopi") | {"payment_method": "gopay", "history": [{"status": "sealed", "at": AT}]}
    newer["cancellation"] |= {"channel": "kiosk", "fault": "weather", "reason": "flooded"}
    newer["refund"] = {"refund_id": ID, "state": "flying", "amount": 145_000, "destination": "moon"}
    harness.services.say(f"GET /orders/{ID}", **newer)
    harness.services.say("GET /orders", items=[newer | {"status": "sealed"}], next=None)
    await browser.sign_in()
    page, orders = await browser.show(f"orders/{ID}"), await browser.show("orders")
    newer["cancellation"] |= {"channel": "system", "fault": "none", "reason": "not_paid"}
    harness.services.say(f"GET /orders/{ID}", **newer | {"paid_amount": 0, "refund": None})
    expired = await browser.show(f"orders/{ID}")
    assert (page.status_code, orders.status_code, expired.status_code) == (200, 200, 200)
    assert "Pesanan dibatalkan</p>" in page.text
    assert all(word in page.text for word in ("flooded", "gopay", "sealed"))
    assert "sealed" in orders.text
    assert "dibatalkan otomatis karena belum dibayar" in expired.text
    assert "Tidak dibayar tepat waktu" in expired.text


@pytest.mark.parametrize("is_paid", [False, True])
async def test_an_unpaid_order_says_until_when_it_is_paid(harness: WebHarness, browser: Browser, is_paid: bool) -> None:
    """On its page with the time, in the list with what is left; once it is paid, neither."""
    open_market(harness, "Kopi")
    unpaid = {"status": "unpaid", "paid_amount": 0, "pay_by": "2026-11-25T11:00:00Z"}
    known = order("Kopi", **{} if is_paid else unpaid)
    harness.services.say(f"GET /orders/{ID}", **known)
    harness.services.say("GET /orders", items=[known], next=None)
    await browser.sign_in()
    page, orders = (await browser.show(f"orders/{ID}")).text, (await browser.show("orders")).text
    assert ("Bayar sebelum 25 November 2026 pukul 18.00 WIB" in page) is not is_paid
    assert ("dibatalkan otomatis" in page) is not is_paid
    assert ("Bayar dalam 1 jam" in orders) is not is_paid


async def test_a_movement_names_its_order(harness: WebHarness, browser: Browser) -> None:
    """Money that came into Lazada Credit leads to the order that it came back for; an earlier `refunds` names none."""
    open_market(harness, "Kopi")
    moved = {"refund_id": GONE, "amount": 145_000, "at": AT}
    wallet = {"credit_balance": 290_000, "dana": {"linked": False, "phone": None}}
    harness.services.say("GET /refunds/wallet", **wallet, entries=[moved | {"order_id": ID}, moved])
    await browser.sign_in()
    page = (await browser.show("wallet")).text
    assert page.count("+Rp145.000") == 2
    assert re.findall(rf'<a href="/web/s/a/orders/{ID}">(.+?)</a>', page) == ["Pesanan 9B795D"]


async def test_the_catalogue_is_paged(browser: Browser, services: Services) -> None:
    """A part at a time is asked for and shown, with the way to the next one; the last has none."""
    product = {"product_id": ID, "seller_id": ID, "title": "Kopi", "price": 1, "stock": 1}

    def catalogue(request: httpx.Request) -> httpx.Response:
        assert request.url.params["limit"] == "60"
        rest = request.url.params.get("cursor") == ID
        return httpx.Response(200, json={"items": [product] * (1 if rest else 60), "next": None if rest else ID})

    services.answers["GET /orders/products"] = catalogue
    await browser.sign_in()
    first = (await browser.show("")).text
    (path,) = re.findall(r'href="(/web/s/a/\?cursor=[^"]+)"', first)
    last = (await browser.get(path)).text
    assert (first.count('class="card product"'), last.count('class="card product"')) == (60, 1)
    assert "cursor=" not in last


async def test_the_desk_shows_every_open_case(harness: WebHarness, browser: Browser) -> None:
    """Cases that wait for a seller are no load; all are shown, also if they need several pages of the API."""
    ids = [str(UUID(int=number)) for number in range(150)]
    cases = [case("Siti", case_id=one, state="awaiting_seller", respond_by=AT) for one in ids]

    def cases_page(request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        found = cases if asked.get("state") == "awaiting_seller" else []
        first, limit = int(asked.get("cursor", 0)), int(asked["limit"])
        more = str(first + limit) if first + limit < len(found) else None
        return httpx.Response(200, json={"items": found[first : first + limit], "next": more})

    open_market(harness, "Kopi")
    harness.services.answers["GET /cs/cases"] = cases_page
    await browser.sign_in("agent")
    page = await browser.show("")
    assert page.status_code == 200, page.text
    assert [one for one in ids if f"/cases/{one}" not in page.text] == []


@pytest.mark.parametrize(
    ("role", "path", "area"),
    [("agent", f"cases/{ID}", ""), ("seller", f"orders/{ID}", ""), ("buyer", f"orders/{ID}", "orders")],
)
async def test_the_navigation_marks_the_area_of_a_page(
    harness: WebHarness, browser: Browser, role: str, path: str, area: str
) -> None:
    """A case is in the area of the desk, an order in that of the orders: this entry alone is the current one."""
    open_market(harness, "Kopi")
    await enter(harness, browser, role)
    page = (await browser.show(path)).text
    assert re.findall(r'href="([^"]*)" aria-current="page"', page) == [f"/web/s/a/{area}"]


async def test_pages_bind_the_browser(browser: Browser) -> None:
    """Every answer forbids scripts and styles that are not files of ours, and frames of other sites; no page contains
    what it forbids."""
    for path in ("/web/", "/web/s/a/sign-in", "/web/nowhere", "/web/s/x/", "/web/s/a/account"):
        page = await browser.get(path)
        policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
        assert policy["frame-ancestors"] == ("'self'" if path.startswith("/web/s/") else "'none'")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page.text)


async def test_outside_of_demonstration_mode_pages_refuse_frames(harness: WebHarness) -> None:
    """Two roles side by side are for demonstrations; elsewhere no page may be put into a frame, not even by ours."""
    async with WebHarness(harness.keys, demonstration=False).browser() as browser:
        headers = (await browser.show("sign-in")).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


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
async def test_the_language_is_the_readers(browser: Browser, cookie: str, accepts: str, language: str) -> None:
    """The language is the chosen one, else the browser's preferred one of the two, else Indonesian; `lang` names it."""
    headers = {"Accept-Language": accepts, "Cookie": f"lang={cookie}" if cookie else ""}
    page = (await browser.get("/web/", headers=headers)).text
    assert f'<html lang="{language}"' in page
    assert ("Empat cara" in page) == (language == "id")


async def test_a_page_names_its_person(harness: WebHarness, browser: Browser) -> None:
    """Scripts read from it whose page it is, also if it shows an error; without a session it names none."""
    open_market(harness, "Kopi")
    assert "data-who" not in (await browser.show("sign-in")).text
    await browser.sign_in()
    person = jwt.decode(browser.cookies["access"], options={"verify_signature": False})["sub"]
    for path, status in (("wallet", 200), ("score", 403), ("nowhere", 404)):
        page = await browser.show(path)
        assert page.status_code == status
        assert f' data-who="{person}">' in page.text


async def test_static_files_are_kept_until_they_change(browser: Browser) -> None:
    """Their address names what they hold, so a browser need not ask again."""
    page = (await browser.get("/web/")).text
    (path,) = set(re.findall(r'"(/web/static/[0-9a-f]{12}/app\.css)"', page))
    answer = await browser.get(path)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")


async def test_static_files_have_an_address_in_every_version(browser: Browser) -> None:
    """While replicas are updated, a page of another version gets files that browsers do not keep."""
    answer = await browser.get("/web/static/0123456789ab/app.css")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (await browser.get("/web/static/0123456789ab/nothing.css")).status_code == 404


async def test_a_service_that_is_away_is_said_to_be(browser: Browser, services: Services) -> None:
    """The page states that nothing is lost and offers to try again; an API client gets problem details."""

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no", request=request)

    services.answers["GET /orders/products"] = away
    await browser.sign_in()
    page, data = await browser.show(""), await browser.show("", Accept="application/json")
    assert (page.status_code, data.status_code) == (503, 503)
    assert "Tidak ada yang hilang" in page.text
    assert data.json()["code"] == "service_away"


async def test_an_unexpected_error_is_a_page_too(
    browser: Browser, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    """The error page has the headers of a page and the correlation id under which the log has the error."""
    caplog.handler.setFormatter(JsonLines("web"))
    services.say("GET /orders/products", items=[{"title": "without a price"}], next=None)
    await browser.sign_in()
    page = await browser.show("")
    assert page.status_code == 500
    assert "Ini kesalahan kami" in page.text
    assert page.headers["content-security-policy"]
    entries = [json.loads(line) for line in caplog.text.splitlines() if '"level": "error"' in line]
    assert [(line["message"], line["correlation_id"]) for line in entries] == [
        ("a request failed", page.headers["x-correlation-id"])
    ]
