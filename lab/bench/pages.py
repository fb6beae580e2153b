"""The time until a page is usable.

A system on private servers, and Chromium with an empty cache for each measurement. A page is usable when its scripts
have run: at the end of `DOMContentLoaded`, which waits for modules.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from playwright.async_api import Browser, async_playwright

from batalkan import local_servers
from batalkan.gateway import Gateway
from batalkan.local_servers import LocalDeployment
from batalkan.servers.packages import find
from lab.bench import report
from lab.serving import one_origin

PAGES = ("/web/", "/web/s/a/sign-in", "/web/flow", "/web/docs", "/web/events")
SAMPLE = """
async () => {
  const painted = await new Promise((seen) => new PerformanceObserver((list) => {
    list.getEntriesByName("first-contentful-paint").forEach((one) => seen(one.startTime));
  }).observe({ type: "paint", buffered: true }));
  const [page] = performance.getEntriesByType("navigation");
  const loaded = [page, ...performance.getEntriesByType("resource")];
  return {
    usable_ms: page.domContentLoadedEventEnd,
    painted_ms: painted,
    kilobytes: loaded.reduce((sum, one) => sum + one.transferSize, 0) / 1000,
  };
}
"""


async def once(browser: Browser, url: str) -> dict[str, float]:
    """Loads the page once, with an empty cache."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(url, wait_until="load")
    sample: dict[str, float] = await page.evaluate(SAMPLE)
    await context.close()
    return sample


@asynccontextmanager
async def system_and_browser() -> AsyncIterator[tuple[LocalDeployment, str, Browser]]:
    """A system on private servers, its address, and Chromium."""
    async with (
        local_servers.running(None) as system,
        one_origin(Gateway(system.public)) as origin,
        async_playwright() as playwright,
    ):
        arguments = ["--no-sandbox", "--enable-precise-memory-info"]
        browser = await playwright.chromium.launch(executable_path=find("chromium"), args=arguments)
        yield system, origin, browser
        await browser.close()


async def measure(times: int) -> dict[str, dict[str, float]]:
    """The median and the maximum of so many loads of each page."""
    figures = {}
    async with system_and_browser() as (_, origin, browser):
        for path in PAGES:
            samples = [await once(browser, f"{origin}{path}") for _ in range(times)]
            figures[path] = {key: round(statistics.median(sample[key] for sample in samples), 1) for key in samples[0]}
            figures[path]["slowest_usable_ms"] = round(max(sample["usable_ms"] for sample in samples), 1)
    return figures


def main(times: Annotated[int, typer.Option(help="Loads of each page.")] = 20, as_json: report.JsonFile = None) -> None:
    """Measure the time until a page is usable."""
    report.finish(asyncio.run(measure(times)), as_json, "page")
