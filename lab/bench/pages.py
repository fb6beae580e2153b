"""The time until a page is usable: `python -m lab.bench.pages [--times 20] [--json]`.

A system on private servers, and Chromium with an empty cache for each measurement. A page is usable when its scripts
have run: at the end of `DOMContentLoaded`, which waits for modules.
"""

import argparse
import asyncio
import json
import statistics
from typing import Any

from playwright.async_api import Browser, async_playwright

from batalkan import local_servers
from batalkan.servers.packages import find
from lab.bench.flow import one_origin

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


async def measure(times: int) -> dict[str, dict[str, float]]:
    """The median and the maximum of so many loads of each page."""
    async with local_servers.running(None) as system, one_origin(system) as origin, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find("chromium"), args=["--no-sandbox"])
        figures = {}
        for path in PAGES:
            samples = [await once(browser, f"{origin}{path}") for _ in range(times)]
            figures[path] = {key: round(statistics.median(sample[key] for sample in samples), 1) for key in samples[0]}
            figures[path]["slowest_usable_ms"] = round(max(sample["usable_ms"] for sample in samples), 1)
        await browser.close()
        return figures


def main() -> None:
    """Measures and prints a line for each page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="loads of each page")
    parser.add_argument("--json", action="store_true")
    arguments: Any = parser.parse_args()
    figures = asyncio.run(measure(arguments.times))
    for path, figure in figures.items() if not arguments.json else ():
        print(f"{path:>20}  {figure}")
    if arguments.json:
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
