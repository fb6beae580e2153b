"""The flow page under more than it can draw."""

import asyncio

import httpx
import pytest
from playwright.async_api import expect

from lab.bench.flow import SAMPLE, WATCH, totals
from lab.bench.synthetic_records import RECORDS, SyntheticServices
from tests.browser.site import Site
from tests.browser.users import BrowserUsers
from tests.harness.waiting import becomes

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

RATE, SECONDS = 200, 6.0
MAX_DOTS = 44
"""As in `dots.js`."""


async def test_the_page_merges_what_it_cannot_draw_and_counts_the_rest(users: BrowserUsers, site: Site) -> None:
    """At 200 cancellations a second every record is drawn, drawn together, or counted; what the page holds is bounded.

    `make bench ARGS="flow"` does so for a minute, and measures how smooth it is.
    """
    person = await users.visitor("Penonton")
    await person.page.goto(f"{site.url}/web/flow")
    await expect(person.page.locator("[data-number='unpublished']").first).not_to_have_text("–")
    await person.page.evaluate(WATCH)
    redis = site.system.services["web"].app.state.flow.reader._redis
    async with httpx.AsyncClient(base_url=site.url) as http:
        before: dict[str, int] = {}
        while before != (before := await totals(http)):
            await asyncio.sleep(1)  # what the start of the services told arrives as well
        recorded = await SyntheticServices(redis).record(RATE, SECONDS)

        async def counted() -> int:
            now = await totals(http)
            return now["records"] + now["lost"] - before["records"] - before["lost"]

        await becomes(counted, recorded * RECORDS)
        after = await totals(http)
    counted_totals = {key: after[key] - before[key] for key in after}
    await expect(person.page.locator("[data-counted]")).to_contain_text("digambar bersama")
    assert counted_totals["together"] > 0
    sample = await person.page.evaluate(SAMPLE)
    assert sample["dots"] <= MAX_DOTS
    assert sample["elements"] < 2_500
    assert len(sample["gaps"]) > 0
