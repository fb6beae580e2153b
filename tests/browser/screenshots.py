"""`make screenshots`: every page as a phone and as a desktop show it."""

import sys
from pathlib import Path

import httpx
import uvloop

from batalkan.servers.packages import install
from tests.browser.album import prepare
from tests.browser.gallery import choose, chromium, look, visitor
from tests.browser.site import new_site

WIDTHS = {390: 844, 1440: 900}
FILLED = {"chat", "case", "seller-chat", "two", "order-cancel", "order-cancel-part", "seller-cancel"}
FILLED |= {"agent-case", "agent-keys", "seller-demand"}
"""What fills the window, and is not scrolled."""


async def take(folder: Path, *, lang: str = "id", theme: str = "light") -> int:
    """Puts a picture of every page into the folder; returns how many there are."""
    async with new_site() as site, chromium() as browser, httpx.AsyncClient(base_url=site.url) as http:
        sights = await prepare(http, site.system.database_urls)
        for width, height in WIDTHS.items():
            context = await visitor(browser, site.url, viewport={"width": width, "height": height})
            await choose(context, site.url, lang=lang, theme=theme)
            page = await context.new_page()
            for sight in sights:
                await look(page, sight)
                if sight.name == "two":
                    await page.wait_for_load_state("networkidle")
                await page.screenshot(path=folder / f"{sight.name}-{width}.png", full_page=sight.name not in FILLED)
            await context.close()
    return len(sights) * len(WIDTHS)


if __name__ == "__main__":
    install(Path(".batalkan/install.log"), names=["chromium"])
    where = Path(sys.argv[1] if len(sys.argv) > 1 else ".batalkan/screenshots")
    where.mkdir(parents=True, exist_ok=True)
    choices = dict(argument.split("=") for argument in sys.argv[2:])
    count = uvloop.run(take(where, **choices))
    print(f"{count} pictures are in {where}")  # noqa: T201 - a command
