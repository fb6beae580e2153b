"""`make screenshots`: every page as a phone and as a desktop show it, in both languages and both colour schemes.

ARGS="FOLDER lang=id theme=dark" leaves out the other language and the other scheme, "only=chat,desk" all other
pages; ARGS=docs takes the pictures of docs/images anew.
"""

import sys
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import httpx
import uvloop
from playwright.async_api import Page, expect

from batalkan.servers.packages import install
from services.accounts.demonstration import PASSWORD
from tests.browser.album import AGENT, LEARNED, NEWCOMERS, SEATS, Sight, prepare
from tests.browser.gallery import choose, chromium, look, visitor
from tests.browser.site import new_site
from tests.harness.actors import Agent, Person

WIDTHS = {390: 844, 1440: 900}
CHOICES = {"lang": ("id", "en"), "theme": ("light", "dark")}
FILLED = {"chat", "case", "seller-chat", "two", "order-cancel", "order-cancel-part", "seller-cancel"}
FILLED |= {"agent-case", "agent-keys", "seller-demand", "flow-node"}
"""What fills the window, and is not scrolled."""
STILL = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`.top { position: static }
    @media (width < 760px) { body { position: relative } .areas { position: absolute } }`);
  document.adoptedStyleSheets.push(sheet);
}"""
"""Keeps the bars of a page that is higher than the window off its middle."""
QUALITY = 75
DOCS = {"cancel": "order-cancel", "chat": "chat", "cancelled": "order-cancelled", "desk": "desk"}
"""The pictures of docs/images that show a page as it is."""


async def take(folder: Path, langs: Iterable[str], themes: Iterable[str], only: str = "") -> int:
    """Puts pictures of every page into a folder of each language and scheme; returns how many there are."""
    count = 0
    async with new_site() as site, chromium() as browser, httpx.AsyncClient(base_url=site.url) as http:
        site.system.services["web"].app.state.lessons.removal.live = False
        sights = await prepare(http, site.system.database_urls)
        agent = await Agent.sign_in(http, "agent@example.com", PASSWORD)
        newcomers = {role: await Person.register(http, role) for role in ("buyer", "seller")}
        newcomers["agent"] = await Person.sign_in(http, AGENT, PASSWORD)
        for lang, theme, width in product(langs, themes, WIDTHS):
            (where := folder / f"{lang}-{theme}").mkdir(parents=True, exist_ok=True)
            context = await visitor(browser, site.url, viewport={"width": width, "height": WIDTHS[width]})
            await choose(context, site.url, lang=lang, theme=theme, lessons=LEARNED)
            page = await context.new_page()
            for sight in _only(only, sights):
                await agent.duty()  # it ends when no page of the desk is open
                await _take_one(page, sight, where / f"{sight.name}-{width}.png")
                count += 1
            for role, who in newcomers.items():
                token = (await Person.sign_in(http, who.email, who.password)).token
                seat = f"{site.url}/web/s/{SEATS[role]}"
                await context.add_cookies([{"name": "access", "value": token, "url": seat}])
                for sight in _only(only, NEWCOMERS[role]):
                    await _take_one(page, sight, where / f"{sight.name}-{width}.png")
                    count += 1
            await context.close()
    return count


def _only(names: str, sights: Iterable[Sight]) -> list[Sight]:
    return [sight for sight in sights if not names or sight.name in names.split(",")]


async def _take_one(page: Page, sight: Sight, path: Path) -> None:
    await look(page, sight)
    if sight.name == "two":
        await page.wait_for_load_state("networkidle")
    if sight.name == "flow":
        await expect(page.locator("[data-amount=owed]")).to_contain_text("Rp")
    if whole := sight.name not in FILLED:
        await page.evaluate(STILL)
    await page.screenshot(path=path, full_page=whole, animations="disabled")  # what comes little by little is there


async def illustrate(folder: Path) -> int:
    """Takes the pictures in the documentation; returns how many there are."""
    async with new_site() as site, chromium() as browser, httpx.AsyncClient(base_url=site.url) as http:
        context = await browser.new_context(viewport={"width": 1440, "height": 790})
        await choose(context, site.url, lang="en", theme="light")
        page = await context.new_page()
        await page.goto(f"{site.url}/web/flow")
        await expect(page.locator("[data-number='unpublished']").first).not_to_have_text("–")
        for _ in range(2):  # the first time buyers register in a crowd
            await expect(page.locator(".dot")).to_have_count(0)
            await page.locator("[data-start='1'] >> nth=0").click()
            await page.locator(".dot").first.wait_for()
        await page.locator(".dot text:visible", has_text="OrderCancelled").first.wait_for()
        await page.wait_for_timeout(300)  # the dots are at the exchange
        await page.screenshot(path=folder / "flow.jpg", quality=QUALITY)
        await context.close()
        sights = {sight.name: sight for sight in await prepare(http, site.system.database_urls)}
        for picture, name in DOCS.items():
            size = (1440, 900) if picture == "desk" else (390, 844)
            context = await visitor(browser, site.url, viewport={"width": size[0], "height": size[1]})
            await choose(context, site.url, lang="id", theme="light")
            page = await context.new_page()
            await look(page, sights[name])
            await page.screenshot(path=folder / f"{picture}.jpg", quality=QUALITY)
            await context.close()
    return len(DOCS) + 1


if __name__ == "__main__":
    install(Path(".batalkan/install.log"), names=["chromium"])
    if sys.argv[1:] == ["docs"]:
        where = Path("docs/images")
        count = uvloop.run(illustrate(where))
    else:
        chosen = dict(argument.split("=") for argument in sys.argv[1:] if "=" in argument)
        folders = [argument for argument in sys.argv[1:] if "=" not in argument]
        where = Path(folders[0] if folders else ".batalkan/screenshots")
        langs, themes = ([chosen[one]] if one in chosen else every for one, every in CHOICES.items())
        count = uvloop.run(take(where, langs, themes, chosen.get("only", "")))
    print(f"{count} pictures are in {where}")  # noqa: T201 - a command
