"""The operator's console, with stand-ins for the services."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.web.search import Found, search
from services.web.upstream import SERVICES
from tests.harness.web import Browser, Services, WebHarness

ONE, TWO, THREE, FOUR = (str(UUID(int=number)) for number in range(1, 5))
AT = "2026-11-25T10:00:00.000000Z"
PAGES = ["", "/", "/parked", f"/message/cs/{ONE}", "/deadlines", "/refunds", f"/trace?id={ONE}", "/audit"]
PAGES += [f"/parked/cs/discard?ids={ONE}"]
ENTRY = {"entry": 1, "at": AT, "account_id": ONE, "action": "discard", "subject": ONE, "reason": "<b>published</b>"}
MESSAGE = {
    "parked_id": ONE, "event_id": None, "routing_key": "orders.OrderPaid", "error": "not a valid OrderPaid", "size": 9,
    "parked_at": AT, "state": "parked", "times": 1,
}  # fmt: skip
WORK = {
    "replicas": [{"name": "host-1", "since": AT, "leads": True}], "outbox": 2, "outbox_age": 61.0, "parked": 1,
    "partitioning": {"current": 1, "stage": "steady", "other": None, "wanted": 1, "messages_left": 0},
    "deadlines": [{"kind": "pay_by", "pending": 3, "overdue": 1, "failing": 0, "next_due": AT}],
}  # fmt: skip
REFUND = {
    "refund_id": ONE, "order_id": TWO, "reference": "ab", "amount": 145_000, "state": "sending", "opened_at": AT,
    "attempts": 2, "inquiries": 1, "uncertain": True, "doubtful_until": AT, "wallet_closed": True, "linked": False,
    "next_step": "ask", "next_at": None, "age": 901.0,
}  # fmt: skip
DUE = {"kind": "pay_by", "subject": ONE, "due_at": AT, "overdue": True, "failures": 1, "correlation_id": TWO}


def event(event_id: str, kind: str, cause: str) -> dict[str, Any]:
    """An event about an order."""
    ids = {"event_id": event_id, "subject": THREE, "correlation_id": TWO, "causation_id": cause}
    return {**ids, "type": kind, "sequence": 1, "at": AT, "published": True}


def found(**parts: Any) -> Found:
    """An answer to a search."""
    return {"events": [], "handled": [], "parked": [], "deadlines": [], "records": [], **parts}


def open_console(services: Services) -> None:
    """Has every service but `chat`, which is away, say something."""
    state = {"parts": {"database": True, "broker": False}, "optional": {"redis": True}, "waiting": 0, "workload": WORK}
    for name in SERVICES:
        if name != "chat":
            services.say(f"GET /{name}/operator/state", service=name, replica="host-1", **state)
            groups = [{"routing_key": "orders.OrderPaid", "error": "not a valid OrderPaid", "messages": [MESSAGE]}]
            services.say(f"GET /{name}/operator/parked", total=2, groups=groups)
            services.answers[f"GET /{name}/operator/deadlines"] = httpx.Response(200, json=[DUE])
            services.answers[f"GET /{name}/operator/audit"] = httpx.Response(200, json=[ENTRY])
            kept = {"kind": "order", "id": THREE, "at": AT, "facts": {"total": 1, "at": AT, "x": None}, "related": []}
            told = found(events=[event(ONE, "OrderPaid", TWO)], parked=[MESSAGE], deadlines=[DUE], records=[kept])
            services.say(f"GET /{name}/operator/trace", **told)
    services.say(f"GET /cs/operator/parked/{ONE}", message=MESSAGE, payload={"a": "•••"}, history=[ENTRY])
    services.answers["GET /refunds/operator/open"] = httpx.Response(200, json=[REFUND])


async def sign_in(harness: WebHarness, browser: Browser, role: str, path: str = "operate") -> httpx.Response:
    """Signs in, at the console or elsewhere."""
    harness.services.say("POST /accounts/token", **harness.token_answer(role))
    return await browser.submit(f"{path}/sign-in", email="a@example.com", password="12345678", client="web")


@pytest.mark.parametrize("role", ["buyer", "seller", "agent"])
async def test_every_other_role_gets_404(harness: WebHarness, browser: Browser, role: str) -> None:
    """At the console another role has no session, and with a token all the same sees the page of an unknown path."""
    open_console(harness.services)
    unknown = await browser.get("/web/nowhere")
    refused = await sign_in(harness, browser, role)
    assert (refused.status_code, refused.text) == (404, unknown.text)
    assert "access" not in browser.cookies
    assert [one.url.path for one in harness.services.asked][-1] == "/accounts/logout"
    browser.cookies.set("access", harness.token(role), path="/web/operate")
    asked = len(harness.services.asked)
    for path in PAGES:
        page = await browser.get(f"/web/operate{path}")
        assert (page.status_code, "Halaman ini tidak ada" in page.text, "konsol" in page.text.lower()) == (
            404,
            True,
            False,
        )
    assert (await browser.submit("operate/parked/cs/replay", ids=ONE)).status_code == 404
    assert len(harness.services.asked) == asked


async def test_without_a_session_the_console_asks_to_sign_in(browser: Browser) -> None:
    """Each page leads to the console's own form, and from there back."""
    for path in PAGES:
        page = await browser.get(f"/web/operate{path}")
        assert page.headers["location"].startswith("/web/operate/sign-in?back=%2Fweb%2Foperate"), path
    form = (await browser.get("/web/operate/sign-in")).text
    assert "/register" not in form
    assert "/enter/" not in form


@pytest.mark.parametrize("entrance", ["operate", "s/b"])
async def test_an_operator_works_at_the_console(harness: WebHarness, browser: Browser, entrance: str) -> None:
    """Wherever an operator signs in, the session is the console's and no seat's."""
    open_console(harness.services)
    answer = await sign_in(harness, browser, "operator", entrance)
    assert answer.headers["location"] == "/web/operate/"
    assert all("Path=/web/operate" in one for one in answer.headers.get_list("set-cookie") if "access=" in one)
    assert (await browser.get("/web/operate/")).status_code == 200
    assert (await browser.get("/web/s/b/")).status_code == 303


@pytest.mark.parametrize("lang", ["id", "en"])
async def test_every_page_shows_what_the_services_say(harness: WebHarness, browser: Browser, lang: str) -> None:
    """In both languages, with a service that is away, and with people's text as text."""
    open_console(harness.services)
    await sign_in(harness, browser, "operator")
    browser.cookies.set("lang", lang)
    pages = {path: await browser.get(f"/web/operate{path}", follow_redirects=True) for path in PAGES}
    assert {path: page.status_code for path, page in pages.items()} == dict.fromkeys(PAGES, 200)
    assert all(f'<html lang="{lang}"' in page.text for page in pages.values())
    assert "&lt;b&gt;published&lt;/b&gt;" in pages["/audit"].text
    assert ("Tidak menjawab: chat." if lang == "id" else "No answer from: chat.") in pages["/parked"].text
    assert ("pemimpin" if lang == "id" else "leader") in pages["/"].text
    assert "broker ✗" in pages["/"].text
    assert "Rp145.000" in pages["/refunds"].text
    assert ("Macet" if lang == "id" else "Stuck") in pages["/refunds"].text
    assert (await browser.get("/web/operate/trace?id=nonsense")).status_code == 422


async def test_an_action_asks_once_and_is_sent_unchanged(harness: WebHarness, browser: Browser) -> None:
    """The question changes nothing; its form sends the ids and the reason; another site's form does nothing."""
    open_console(harness.services)
    await sign_in(harness, browser, "operator")
    asked = len(harness.services.asked)
    ids = f"{ONE},{TWO}"
    question = await browser.get(f"/web/operate/parked/cs/discard?ids={ids}")
    assert f'name="ids" value="{ids}"' in question.text
    foreign = await browser.post("/web/operate/parked/cs/discard", data={"ids": ids, "reason": "no token"})
    assert (foreign.status_code, len(harness.services.asked)) == (403, asked)
    harness.services.say("POST /cs/operator/parked/discard", 204)
    answer = await browser.submit("operate/parked/cs/discard", ids=ids, reason="published by hand")
    assert answer.headers["location"] == "/web/operate/parked"
    sent = {"ids": [ONE, TWO], "reason": "published by hand"}
    assert harness.services.bodies("POST /cs/operator/parked/discard") == [sent]
    assert "Pesan dibuang." in (await browser.get("/web/operate/parked")).text
    harness.services.say("POST /cs/operator/parked/replay", 409, code="not_parked", title="", detail="")
    await browser.submit("operate/parked/cs/replay", ids=ONE)
    assert "sudah tidak terparkir" in (await browser.get("/web/operate/parked")).text
    for wrong in (f"nowhere/replay?ids={ONE}", f"cs/drop?ids={ONE}", "cs/replay?ids=nonsense"):
        assert (await browser.get(f"/web/operate/parked/{wrong}")).status_code in (404, 422)


async def test_a_search_follows_the_ids_that_it_finds() -> None:
    """From a refund to its order, from there to all events, and from them to what each consumer did."""
    refund = {"kind": "refund", "id": ONE, "at": AT, "facts": {}, "related": [THREE]}
    cause, effect = event(TWO, "OrderCancelled", FOUR), event(FOUR, "RefundIssued", TWO)
    handled = {"event_id": TWO, "at": "2026-11-25T10:00:00.250000Z"}
    parked = {**MESSAGE, "event_id": TWO}
    stores: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
        "refunds": [(ONE, "records", refund), (THREE, "events", effect), (TWO, "handled", handled)],
        "orders": [(THREE, "events", cause)],
        "cs": [(TWO, "parked", parked)],
    }

    async def ask(service: str, ids: Sequence[UUID]) -> Found | None:
        if service == "chat":
            return None
        answer = found()
        for key, kind, one in stores.get(service, ()):
            if UUID(key) in ids:
                answer[kind].append(dict(one))
        return answer

    trace = await search(ask, ("orders", "refunds", "chat", "cs"), UUID(ONE))
    assert trace.away == ["chat"]
    assert [one["id"] for one in trace.records] == [ONE]
    first, second = trace.events
    assert (first["service"], first["type"], first["cause"]) == ("orders", "OrderCancelled", "RefundIssued")
    assert (second["service"], second["cause"]) == ("refunds", "OrderCancelled")
    assert {one["service"]: (one["after"], one["parked"]) for one in first["consumers"]} == {
        "refunds": (0.25, False), "chat": (None, False), "cs": (None, True),
        "notifications": (None, False),
    }  # fmt: skip
    assert (await search(ask, ("orders",), UUID(int=99))).is_empty
