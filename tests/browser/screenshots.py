"""`make screenshots`: every page as a phone and as a desktop show it."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import uvloop
from playwright.async_api import async_playwright

from batalkan.servers.packages import find, install
from tests.browser.album import prepare
from tests.browser.conftest import FLAGS
from tests.browser.gallery import choose, look, visitor
from tests.browser.site import Site

WIDTHS = {390: 844, 1440: 900}


async def take(folder: Path, *, lang: str = "id", theme: str = "light") -> int:
    """Puts a picture of every page into the folder; returns how many there are."""
    taken = 0
    with TemporaryDirectory(prefix="batalkan-browser-") as data:
        site = Site(Path(data))
        await site.start()
        async with async_playwright() as playwright, httpx.AsyncClient(base_url=site.url) as http:
            browser = await playwright.chromium.launch(executable_path=find("chromium"), args=list(FLAGS))
            sights = await prepare(http)
            for width, height in WIDTHS.items():
                context = await visitor(browser, site.url, viewport={"width": width, "height": height})
                await choose(context, site.url, lang=lang, theme=theme)
                page = await context.new_page()
                for sight in sights:
                    await look(page, sight)
                    if sight.name == "two":
                        await page.wait_for_load_state("networkidle")
                    whole = sight.name not in ("chat", "case", "seller-chat", "two", "order-cancel", "seller-cancel")
                    await page.screenshot(path=folder / f"{sight.name}-{width}.png", full_page=whole)
                    taken += 1
                await context.close()
            await browser.close()
        await site.stop()
    return taken


if __name__ == "__main__":
    install(Path(".batalkan/install.log"), names=["chromium"])
    where = Path(sys.argv[1] if len(sys.argv) > 1 else ".batalkan/screenshots")
    where.mkdir(parents=True, exist_ok=True)
    choices = dict(argument.split("=") for argument in sys.argv[2:])
    count = uvloop.run(take(where, **choices))
    print(f"{count} pictures are in {where}")  # noqa: T201 - a command
