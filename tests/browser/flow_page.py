"""The control room in a browser, and what can be done there."""

from typing import Any

from playwright.async_api import Locator, Page, expect

from tests.browser.users import BrowserUsers
from tests.harness.waiting import eventually


class Flow:
    """The page, and what can be done on it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def part(self, selector: str) -> Locator:
        """A part of the page."""
        return self.page.locator(selector)

    async def press(self, selector: str) -> None:
        """Presses a button, perhaps one on a node of the picture, and waits until that is done."""
        node = self.part(selector).locator("xpath=ancestor::details")
        if not await node.count() or await node.get_attribute("open") is None:
            await self.page.keyboard.press("Escape")  # an open one may lie over this one
            if await node.count():
                await node.locator("summary").click()
        await self.part(selector).click()
        await expect(self.part(selector)).not_to_have_attribute("aria-busy", "true")

    async def turn(self, selector: str, *, on: bool) -> None:
        """Presses a switch that is not so yet."""
        await expect(self.part(selector)).to_have_attribute("aria-pressed", str(not on).lower())
        await self.press(selector)
        await expect(self.part(selector)).to_have_attribute("aria-pressed", str(on).lower())

    async def cancel(self, through: str = "") -> None:
        """Has a demonstration buyer cancel an order."""
        await self.press(f"[data-start='1'][data-through='{through}']" if through else "[data-start='1'] >> nth=0")

    async def shows_its_badge(self, name: str) -> None:
        """The badge of a node looks the same with the node's switches open, when a frame is around the node."""
        badge: Any = await self.part(f"[data-node={name}] .badge rect:visible").bounding_box()
        at: Any = {
            "x": badge["x"] + 5,
            "y": badge["y"] + 3,
            "width": badge["width"] - 10,
            "height": badge["height"] - 6,
        }
        summary, panel = self.part(f"[data-place={name}] summary"), self.part(f"[data-place={name}] .panel")
        opened = await self.page.screenshot(clip=at)
        await summary.click()
        await self.part("h1").first.click()  # neither the pointer nor the focus is on the node
        await expect(panel).to_be_hidden()

        async def is_same() -> bool:
            return await self.page.screenshot(clip=at) == opened

        await eventually(is_same, 5)  # a message may pass

    async def all_is_right(self) -> None:
        """The money is back in full, the ledger sums to zero."""
        await expect(self.part("[data-verdict]")).to_have_text("Semua uang kembali, penuh, satu kali.")
        await expect(self.part("[data-amount='ledger']")).to_have_text("Rp0")
        await eventually(self._is_all_back, 60)

    async def _is_all_back(self) -> bool:
        # Both at once: the page changes by itself.
        amounts = "['owed', 'back'].map(name => document.querySelector(`[data-amount='${name}']`).textContent)"
        owed, back = await self.page.evaluate(amounts)
        return bool(owed == back != "Rp0")

    async def something_is_missing(self) -> None:
        """The page shows that money is on its way, and that the ledger sums to zero."""
        await expect(self.part("[data-verdict]")).to_have_text("Masih ada yang di jalan; tidak ada yang hilang.")
        await expect(self.part("[data-amount='ledger']")).to_have_text("Rp0")

    def trace(self, state: str) -> Locator:
        """The last trace in the list that is in this state."""
        return self.page.locator("[data-trace-list] li").filter(has_text=state).first

    def number(self, service: str, what: str) -> Locator:
        """A number of a service: `unpublished`, `waiting`, `parked_in_all`."""
        return self.part(f"[data-service='{service}'] [data-number='{what}']")


async def opened(users: BrowserUsers, **options: Any) -> Flow:
    """The page, opened by a visitor."""
    person = await users.visitor("Penonton", **options)
    await person.page.goto(f"{users.site.url}/web/flow")
    await expect(person.page.locator("[data-number='unpublished']").first).not_to_have_text("–")
    return Flow(person.page)
