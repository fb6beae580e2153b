"""Behind the scenes: the flow page in demonstration mode only, and documentation that shows text as text."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from unittest.mock import ANY
from urllib.parse import parse_qs
from uuid import UUID

import httpx
import pytest

from runtime.settings import Environment
from services.accounts.demonstration import PASSWORD
from services.web.flow import browsers
from services.web.flow.rehearsal import Rehearsal
from services.web.upstream import SERVICES, ServiceAway, Upstream
from tests.harness.flow_records import cancellation, parsed
from tests.harness.web import Browser, Services, WebHarness

EVIL = "<script>alert(1)</script>"


async def test_outside_of_demonstration_mode_there_is_no_flow_page(harness: WebHarness) -> None:
    """The flow page and its data are not found, and the start page links to the interfaces and the events alone."""
    async with WebHarness(harness.keys, demonstration=False).browser() as browser:
        for path in ("flow", "flow/live", "flow/stories/one", "demonstration/state"):
            assert (await browser.get(f"/web/{path}")).status_code == 404
        assert (await browser.submit("flow/stories")).status_code == 404
        start = (await browser.get("/web/")).text
    assert [f'href="/web/{path}"' in start for path in ("flow", "docs", "events")] == [False, True, True]


async def test_the_start_page_leads_to_it(browser: Browser) -> None:
    """In demonstration mode the start page links to the flow page, the interfaces and the events."""
    start = (await browser.get("/web/")).text
    assert all(f'href="/web/{path}"' in start for path in ("flow", "docs", "events"))


async def test_no_other_site_can_start_an_order(browser: Browser, services: Services) -> None:
    """A request from another site's page is refused without a call to any service; a client that sends no origin is
    served."""
    for foreign in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for method, path in (("POST", "/web/flow/stories"), ("GET", "/web/flow/live")):
            refused = await browser.request(method, path, headers={**foreign, "Accept": "*/*"})
            assert refused.status_code == 403
    assert services.asked == []
    assert (await browser.post("/web/flow/stories", headers={"Accept": "*/*"})).status_code != 403


async def test_the_number_of_live_streams_is_bounded(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many concurrent requests no more than the limit are accepted; a closed stream makes room."""
    monkeypatch.setattr(browsers, "MAX_BROWSERS", 2)

    async def look() -> tuple[int, Callable[[], Awaitable[object]]]:
        status, left = asyncio.get_running_loop().create_future(), asyncio.Event()
        frames: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not frames:
                await left.wait()
                return {"type": "http.disconnect"}
            return frames.pop()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                status.set_result(message["status"])

        looking = asyncio.create_task(browser.send_raw("GET", "/web/flow/live", receive, send))

        async def leave() -> None:
            left.set()
            await looking

        return await status, leave

    async with asyncio.timeout(10):
        for count, statuses in ((5, [200, 200, 503, 503, 503]), (2, [200, 200])):
            looked = await asyncio.gather(*(look() for _ in range(count)))
            assert sorted(status for status, _ in looked) == statuses
            for _, leave in looked:
                await leave()
    assert len(browser.app.state.flow.reader.browsers) == 0


@pytest.mark.parametrize("trace_id", ["%00", "%ff", "%E2%80%AE", "a%20b", "a" * 41])
async def test_an_invalid_trace_id_is_not_found(browser: Browser, trace_id: str) -> None:
    """A trace id that the database cannot hold is answered with 404."""
    assert (await browser.get(f"/web/flow/stories/{trace_id}")).status_code == 404


async def test_records_are_shown_as_text(harness: WebHarness) -> None:
    """Text from a compromised service never becomes a script, neither on the page nor in a waterfall."""
    async with harness.browser() as browser:
        browser.app.state.flow.reader.traces.add(parsed(cancellation("one", type=EVIL, service=EVIL, error=EVIL)))
        for path in ("", "/stories/one", "/stories/one?part=true"):
            page = await browser.get(f"/web/flow{path}")
            assert page.status_code == 200
            assert "alert(1)" in page.text
            assert EVIL not in page.text


async def test_the_steps_of_a_journey_are_listed(browser: Browser) -> None:
    """The steps come in the order in which they began."""
    browser.app.state.flow.reader.traces.add(parsed(cancellation("steps")[::-1]))
    moves = (await browser.get("/web/flow/stories/steps/moves")).json()
    assert [move["stage"] for move in moves][:3] == ["requested", "written", "sent"]


async def test_documents_are_shown_as_text_and_a_missing_one_is_said(browser: Browser, services: Services) -> None:
    """A description with a script in it stays a description; a service that is away is shown as that."""
    operation = {"description": EVIL, "tags": ["orders"], "responses": {"200": {"description": EVIL}}}
    for name in SERVICES:
        services.say(f"GET /{name}/openapi.json", 503)
    services.say("GET /orders/openapi.json", info={"description": EVIL}, paths={"/orders/things": {"get": operation}})
    overview = (await browser.get("/web/docs")).text
    assert "/orders/<wbr>things" in overview
    assert overview.count("tidak menjawab") == len(SERVICES) - 1
    one = (await browser.get("/web/docs/orders")).text
    assert "&lt;script&gt;alert(1)" in one
    assert EVIL not in overview + one
    assert (await browser.get("/web/docs/refunds")).status_code == 503
    assert (await browser.get("/web/docs/unknown")).status_code == 404


async def test_the_buyer_of_an_order_begun_here_can_be_signed_in(harness: WebHarness) -> None:
    """The pages sign in the buyer of an order that they have begun, also of the lesson whose seller is silent; of no
    other order."""
    order = str(UUID(int=1))
    said = harness.services.say
    said("POST /accounts")
    said("POST /accounts/token", **harness.token_answer())
    said("POST /orders/products", product_id=order)
    said("POST /orders", order_id=order)
    said(f"POST /orders/{order}/pay")
    said("GET /cs/duty", on=True)
    said("POST /cs/cases", case_id=order)
    for path in ("order", "contact-seller"):
        said(f"POST /cs/cases/{order}/{path}")
    async with harness.browser() as browser:
        people = browser.app.state.flow.rehearsal
        assert await people.sign_in_as_buyer_of(order) is None
        assert await people.be_ignored() == order
        assert await people.sign_in_as_buyer_of(order) == harness.token_answer() | {
            "access_token": ANY,
            "refresh_token": ANY,
        }


async def test_the_events_are_served_as_a_page_and_as_json(browser: Browser, services: Services) -> None:
    """The catalogue names every event, and the AsyncAPI document is served beside it; no service is needed for it."""
    page = (await browser.get("/web/events")).text
    document = (await browser.get("/web/asyncapi.json")).json()
    assert document["asyncapi"] == "3.0.0"
    assert all(f'id="{name}"' in page for name in document["components"]["messages"])
    assert services.asked == []


async def test_demonstration_buyers_have_their_own_password() -> None:
    """Each process registers and signs in its buyers with a password that no other one has, and that is not published:
    the accounts are still there when demonstration mode has ended."""
    used: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/accounts":
            used.append(json.loads(request.content)["password"])
        if request.url.path == "/accounts/token":
            used.append(parse_qs(request.content.decode())["password"][0])
        return httpx.Response(200, json={"access_token": "t", "product_id": "p", "order_id": "o"})

    for _ in range(2):
        await Rehearsal(Upstream.read(Environment({}), httpx.MockTransport(answer))).cancel(1, dana=False)
    assert len(used) == 12
    assert len({*used, PASSWORD}) == 3


async def test_demonstration_buyers_report_a_service_that_is_away() -> None:
    """Several cancellations that fail together raise one error, which the page can show."""

    def answer(request: httpx.Request) -> httpx.Response:
        known = {"access_token": "t", "product_id": "p"}
        return httpx.Response(503 if request.url.path == "/orders" else 200, json=known)

    rehearsal = Rehearsal(Upstream.read(Environment({}), httpx.MockTransport(answer)))
    with pytest.raises(ServiceAway):
        await rehearsal.cancel(3, dana=False)
