"""The lessons: a browser goes through all of them, and each promise that one makes happens."""

import asyncio
import re
from dataclasses import replace

import pytest
from playwright.async_api import Page, Request, expect

from services.web.lessons.stage import SCENES
from services.web.lessons.texts import LESSONS, NAMES
from tests.browser import axe
from tests.browser.gallery import scrolls_sideways
from tests.browser.site import Site
from tests.browser.users import BrowserUsers

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

LIVE = "unknown"
"""The lesson whose removal runs in the laboratory; the others play what was recorded."""
SEEN = {
    "outbox": ("RefundIssued",),
    "inbox": ("datang lagi, diabaikan", "RefundIssued"),
    "saga": ("RefundIssued",),
    "deadlines": ("SellerContacted", "seller_silent", "settled", "OrderCancelRequested", "RefundIssued", "CaseClosed"),
    "unknown": ("dana top-up", "unknown", "RefundDelayed", "dana status", "paid", "RefundIssued"),
    "poison": ("RefundIssued",),
    "order": ("OrderCancelRequested", "OrderCancelled", "RefundIssued"),
    "backoff": ("RefundIssued",),
}
"""What the trace of each lesson has."""
WAITS = {"outbox": "outbox", "saga": "antrean", "order": "outbox", "backoff": "outbox"}
"""The stage in which `OrderCancelled` waits for as long as the fault lasts."""
LASTS = 1.0
"""Seconds that the faults last here."""


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The faults are as long as it takes to see them."""
    for name, scene in SCENES.items():
        monkeypatch.setitem(SCENES, name, replace(scene, seconds=min(scene.seconds, LASTS)))


async def test_every_lesson_keeps_its_promise(users: BrowserUsers, site: Site) -> None:
    """Predict, do, see, remove, read, answer: the trace shows what the lesson says, the invariants report what breaks
    without the pattern, and the list has the progress also after a reload."""
    person = await users.visitor("Murid", bypass_csp=True)
    page = person.page
    await page.goto(f"{site.url}/web/lessons")
    for name in NAMES:
        site.system.services["web"].app.state.lessons.removal.live = name == LIVE
        await page.locator(f"a[href='/web/lessons/{name}']").click()
        await predict(page, name)
        await do_and_see(page, name)
        await asks_no_more(page)
        await remove(page)
        if name == LIVE:
            assert await axe.violations(page) == []
            await page.set_viewport_size({"width": 390, "height": 844})
            assert not await scrolls_sideways(page)
        await answer(page, name)
        await page.locator("#ask").get_by_role("link", name="Pelajaran", exact=True).click()
        await page.reload()
        await expect(page.locator(f"[data-progress='{name}']")).to_have_text("Selesai")
    state = await page.request.get(f"{site.url}/refunds/demonstration/state")
    poisoned = await state.json()
    assert [one["routing_key"] for one in poisoned["parked"]] == ["orders.OrderCancelled"]


async def predict(page: Page, name: str) -> None:
    """Chooses a wrong answer; what is right is not shown yet."""
    asked = LESSONS[name].predict
    await page.locator("#predict [type=radio]").nth(asked.right % len(asked.choices)).check()
    await page.locator("#predict button").click()
    await expect(page.locator("#do button")).to_be_visible()
    await expect(page.locator("[data-answer]")).to_have_count(0)


async def do_and_see(page: Page, name: str) -> None:
    """Starts the thing, and waits until the trace is complete."""
    await page.locator("#do button").click()
    seen = page.locator("#see")
    await expect(seen.locator(".chip", has_text="Uang kembali")).to_be_visible()
    await expect(seen.locator("[data-answer='predict']")).to_be_visible()
    for words in SEEN[name]:
        await expect(seen.locator(".waterfall")).to_contain_text(words)
    if name in WAITS:
        stages = " ".join(await seen.locator("tr", has_text="OrderCancelled").locator(".stages").all_inner_texts())
        waits = [float(took.replace(",", ".")) for took in re.findall(rf"{WAITS[name]} ([\d,]+) ms", stages)]
        assert max(waits) > 500 * LASTS


async def asks_no_more(page: Page) -> None:
    """A journey that has ended is not asked about any more."""
    await expect(page.locator("[data-every]")).to_have_count(0)
    asked: list[Request] = []

    def note(request: Request) -> None:
        asked.append(request)

    page.on("request", note)
    await asyncio.sleep(1.5)
    page.remove_listener("request", note)
    assert len(asked) <= 1, "at most one that had begun"


async def remove(page: Page) -> None:
    """Runs it without the pattern: its promise is broken, and the invariants say how."""
    await page.locator("#remove button").click()
    broken = page.locator("#remove [data-verdict='broken']")
    await expect(broken.locator(".broken li").first).to_be_visible()
    await expect(page.locator("#remove [data-verdict='kept']")).to_be_visible()
    await expect(page.locator("#remove .warn")).to_have_count(0)


async def answer(page: Page, name: str) -> None:
    """Reads, and answers the question at the end: first wrongly."""
    await expect(page.locator("#read [data-line]").first).to_be_visible()
    asked = LESSONS[name].ask
    for choice, tone in ((asked.right % len(asked.choices), "warn"), (asked.right - 1, "good")):
        await page.locator("#ask [type=radio]").nth(choice).check()
        await page.locator("#ask button").click()
        await expect(page.locator("#ask [data-answer]")).to_have_class(f"notice {tone}")
