"""The agent's desk."""

from uuid import UUID

import httpx

from tests.harness.web import WebHarness


async def test_an_open_case_stays_on_the_desk_however_many_came_since(harness: WebHarness) -> None:
    """Cases that wait for a seller are no load; all are shown, also if they need several pages of the API."""
    cases = [
        {
            "case_id": str(UUID(int=number)),
            "state": "awaiting_seller",
            "buyer_name": f"Pembeli {number}",
            "respond_by": "2026-11-25T22:10:00Z",
        }
        for number in range(150)
    ]

    def cases_page(request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        if asked.get("state") != "awaiting_seller":
            return httpx.Response(200, json={"items": [], "next": None})
        first, limit = int(asked.get("cursor", 0)), int(asked["limit"])
        more = str(first + limit) if first + limit < len(cases) else None
        return httpx.Response(200, json={"items": cases[first : first + limit], "next": more})

    harness.services.answers["GET /cs/cases"] = cases_page
    harness.services.say("GET /orders/clock", now="2026-11-25T10:00:00Z")
    harness.services.say("GET /cs/duty", on=True, load=0, most=3, waiting=0, agents_on_duty=1)
    async with harness.browser() as browser:
        await harness.sign_in(browser, "agent")
        answer = await browser.get("/web/s/a/")
    assert answer.status_code == 200, answer.text
    assert [case["case_id"] for case in cases if f"/cases/{case['case_id']}" not in answer.text] == []
