"""Behind the scenes: the flow page in demonstration mode only, and documentation that shows text as text."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from batalkan.keys import Keys
from runtime.messaging.bus.memory import MemoryBus
from runtime.settings import Environment, Settings
from services.web.flow import browsers
from services.web.main import build
from services.web.upstream import SERVICES
from tests.harness.flow_records import cancellation, parsed
from tests.harness.web import HTML, ORIGIN, WebHarness

EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize("path", ["flow", "flow/live", "flow/stories/one", "demonstration/state"])
async def test_outside_of_demonstration_mode_there_is_no_flow_page(keys: Keys, harness: WebHarness, path: str) -> None:
    """Neither the page nor what it stands on."""
    async with WebHarness(keys, harness.services, demonstration=False).browser() as browser:
        assert (await browser.get(f"/web/{path}")).status_code == 404
        assert (await browser.post("/web/flow/stories", headers={"Origin": ORIGIN})).status_code == 404


async def test_the_start_page_leads_to_it(keys: Keys, harness: WebHarness) -> None:
    """In demonstration mode to the flow page, the interfaces and the events; otherwise without the flow page."""
    for demonstration in (True, False):
        async with WebHarness(keys, harness.services, demonstration=demonstration).browser() as browser:
            start = (await browser.get("/web/")).text
        assert ('href="/web/flow"' in start) is demonstration
        assert 'href="/web/docs"' in start
        assert 'href="/web/events"' in start


async def test_no_other_site_can_start_an_order(harness: WebHarness) -> None:
    """A request from another site's page is refused without a call to any service; a client that sends no origin is
    served."""
    async with harness.browser() as browser:
        for foreign in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            for method, path in (("POST", "/web/flow/stories"), ("GET", "/web/flow/live")):
                refused = await browser.request(method, path, headers={**foreign, "Accept": "*/*"})
                assert refused.status_code == 403
        assert harness.services.asked == []
        assert (await browser.post("/web/flow/stories", headers={"Accept": "*/*"})).status_code != 403


async def test_the_number_of_live_streams_is_bounded(harness: WebHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many concurrent requests no more than the limit are accepted; a closed stream makes room."""
    monkeypatch.setattr(browsers, "MAX_BROWSERS", 2)
    app = harness.app()
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
    }
    scope |= {"path": "/web/flow/live", "raw_path": b"/web/flow/live", "query_string": b"", "root_path": ""}
    scope |= {"headers": [(b"host", urlsplit(ORIGIN).netloc.encode())], "client": ("127.0.0.1", 1), "server": ("x", 1)}
    asked: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def look() -> tuple[int, Callable[[], Awaitable[object]]]:
        status, left = asyncio.get_running_loop().create_future(), asyncio.Event()
        frames = list(asked)

        async def receive() -> dict[str, Any]:
            if not frames:
                await left.wait()
                return {"type": "http.disconnect"}
            return frames.pop()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                status.set_result(message["status"])

        looking = asyncio.create_task(app(scope.copy(), receive, send))

        async def leave() -> None:
            left.set()
            await looking

        return await status, leave

    async with asyncio.timeout(10):
        looked = await asyncio.gather(*(look() for _ in range(5)))
        assert sorted(status for status, _ in looked) == [200, 200, 503, 503, 503]
        for _, leave in looked:
            await leave()
        again = await asyncio.gather(*(look() for _ in range(2)))
        assert [status for status, _ in again] == [200, 200]
        for _, leave in again:
            await leave()
    assert len(app.state.flow.reader.browsers) == 0


@pytest.mark.parametrize("trace_id", ["%00", "%ff", "%E2%80%AE", "a%20b", "a" * 41])
async def test_an_invalid_trace_id_is_not_found(harness: WebHarness, trace_id: str) -> None:
    """What the database could not even be asked for is not found."""
    async with harness.browser() as browser:
        assert (await browser.get(f"/web/flow/stories/{trace_id}")).status_code == 404


async def test_records_are_shown_as_text(keys: Keys) -> None:
    """Text from a compromised service never becomes a script, neither on the page nor in a waterfall."""
    settings = Settings("web", "postgresql://nowhere", "memory://", "memory://", "", 0, True, "info")
    service = build(settings, Environment({"TOKEN_KEYS": str(keys.token_keys)}), settings.database_url, MemoryBus())
    service.app.state.flow.reader.traces.add(parsed(cancellation("one", type=EVIL, service=EVIL, error=EVIL)))
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=HTML) as browser:
        for path in ("/web/flow", "/web/flow/stories/one", "/web/flow/stories/one?part=true"):
            page = await browser.get(path)
            assert page.status_code == 200
            assert "alert(1)" in page.text
            assert EVIL not in page.text


async def test_documents_are_shown_as_text_and_a_missing_one_is_said(harness: WebHarness) -> None:
    """A description with a script in it stays a description; a service that is away is shown as that."""
    operation = {"description": EVIL, "tags": ["orders"], "responses": {"200": {"description": EVIL}}}
    harness.services.say(
        "GET /orders/openapi.json", info={"description": EVIL}, paths={"/orders/things": {"get": operation}}
    )
    for name in SERVICES:
        if name != "orders":
            harness.services.say(f"GET /{name}/openapi.json", 503)
    async with harness.browser() as browser:
        overview = (await browser.get("/web/docs")).text
        assert "/orders/things" in overview
        assert overview.count("tidak menjawab") == len(SERVICES) - 1
        one = (await browser.get("/web/docs/orders")).text
        assert "&lt;script&gt;alert(1)" in one
        assert EVIL not in overview + one
        assert (await browser.get("/web/docs/refunds")).status_code == 503
        assert (await browser.get("/web/docs/unknown")).status_code == 404


async def test_the_events_are_served_as_a_page_and_as_json(harness: WebHarness) -> None:
    """The catalogue names every event, and the AsyncAPI document is served beside it; no service is needed for it."""
    async with harness.browser() as browser:
        page = (await browser.get("/web/events")).text
        document = (await browser.get("/web/asyncapi.json")).json()
    assert document["asyncapi"] == "3.0.0"
    for name in document["components"]["messages"]:
        assert f'id="{name}"' in page
    assert harness.services.asked == []
