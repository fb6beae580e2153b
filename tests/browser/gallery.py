"""A browser that visits every page, signed in at all three seats at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from batalkan.servers.packages import find
from services.accounts.demonstration import PASSWORD
from tests.browser.album import OPERATOR, SEATS, Sight

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The distribution's Chromium, which runs inside the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find("chromium"), args=list(FLAGS))
        yield browser
        await browser.close()


async def visitor(browser: Browser, url: str, **options: Any) -> BrowserContext:
    """A browser's window, with the demonstration's accounts at their seats, and an operator at the console."""
    context = await browser.new_context(base_url=url, **options)
    page = await context.new_page()
    for role, seat in SEATS.items():
        await page.goto(f"/web/s/{seat}/sign-in")
        await page.locator(f"form[action$='/enter/{role}'] button").click()
        await page.wait_for_url(f"**/web/s/{seat}/")
    await page.goto("/web/operate/sign-in")
    await page.locator("[name=email]").fill(OPERATOR)
    await page.locator("[name=password]").fill(PASSWORD)
    await page.locator("form[action$='/sign-in'] button").click()
    await page.wait_for_url("**/web/operate/")
    await page.close()
    return context


async def choose(context: BrowserContext, url: str, **choices: str) -> None:
    """Language (`lang`) and appearance (`theme`), as the buttons on the pages set them."""
    await context.add_cookies([{"name": k, "value": v, "url": f"{url}/web"} for k, v in choices.items()])


async def look(page: Page, sight: Sight) -> None:
    """Opens the page, and waits until its content is complete."""
    if sight.signed_out:
        await page.context.clear_cookies(name="access")
        await page.context.clear_cookies(name="refresh")
    await page.goto(sight.url)
    if sight.opens:
        await page.locator(sight.opens).click()
    await page.wait_for_function("document.fonts.status === 'loaded'")


async def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than the window."""
    wide: bool = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wide
