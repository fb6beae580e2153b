"""The flow page under load.

A system on private servers, with the page open in Chromium. Synthetic services write the records of so many
cancellations per second with the same code as the services, which stay idle: two cores cannot cancel that fast and also
draw. The benchmark measures the frame rate and the memory of the page and of `web`, and checks that every record is
drawn, drawn as part of a group, or counted.
"""

import asyncio
import json
import re
from html import unescape
from typing import Annotated, Any

import httpx
import typer
from playwright.async_api import Page
from redis.asyncio import Redis

from lab.bench import meters, report
from lab.bench.pages import system_and_browser
from lab.bench.synthetic_records import RECORDS, SyntheticServices
from runtime.http.client import http_client

WATCH = """
() => {
  window.gaps = [];
  let last = performance.now();
  const tick = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
}
"""
SAMPLE = """
() => ({
  gaps: window.gaps.splice(0),
  dots: document.querySelectorAll(".dot").length,
  elements: document.querySelectorAll("*").length,
  heap_mb: performance.memory.usedJSHeapSize / 1048576,
  says: document.querySelector("[data-rate]").textContent + document.querySelector("[data-counted]").textContent,
})
"""


async def totals(http: httpx.AsyncClient) -> dict[str, int]:
    """The totals that `web` has counted."""
    page = (await http.get("/web/flow")).raise_for_status().text
    found = re.search(r'data-totals="([^"]*)"', page)
    assert found is not None
    counted: dict[str, int] = json.loads(unescape(found.group(1)))
    return counted


async def watch(page: Page, seconds: float) -> list[dict[str, Any]]:
    """Reads the page's figures every five seconds."""
    samples = []
    for _ in range(max(int(seconds // 5), 1)):
        await asyncio.sleep(5)
        samples.append(await page.evaluate(SAMPLE))
    return samples


async def measure(rate: int, seconds: float) -> dict[str, Any]:
    """Runs the load and returns the figures."""
    async with (
        system_and_browser() as (system, origin, browser),
        http_client(base_url=origin, timeout=30) as http,
        Redis.from_url(system.servers.redis.admin_url, decode_responses=True) as redis,
    ):
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.goto(f"{origin}/web/flow")
        await page.evaluate(WATCH)
        web = system.processes.watched["web"].child.pid
        assert web is not None
        before, memory, cpu = await totals(http), meters.memory(web), meters.cpu_seconds(web)
        watching = asyncio.create_task(watch(page, seconds))
        recorded = await SyntheticServices(redis).record(rate, seconds)
        samples = await watching
        await asyncio.sleep(2)
        after = await totals(http)
        return {
            **_figures(samples, recorded, {key: after[key] - before[key] for key in after}),
            "web_memory_mb": [round(memory, 1), round(meters.memory(web), 1)],
            "web_cpu_share": round((meters.cpu_seconds(web) - cpu) / seconds, 3),
        }


def _figures(samples: list[dict[str, Any]], recorded: int, counted: dict[str, int]) -> dict[str, Any]:
    gaps = sorted(gap for sample in samples for gap in sample["gaps"])
    return {
        "cancellations_recorded": recorded,
        "records_written": recorded * RECORDS,
        "counted": counted,
        "uncounted": recorded * RECORDS - counted["records"] - counted["lost"],
        "frames_per_second": round(1000 * len(gaps) / sum(gaps), 1),
        "frame_ms": {name: round(gaps[int(len(gaps) * part)], 1) for name, part in (("p50", 0.5), ("p99", 0.99))},
        "longest_frame_ms": round(gaps[-1], 1),
        "heap_mb": [round(sample["heap_mb"], 1) for sample in samples],
        "elements": [sample["elements"] for sample in samples],
        "max_dots": max(sample["dots"] for sample in samples),
        "page_says": samples[-1]["says"],
    }


def main(
    rate: Annotated[int, typer.Option(help="Cancellations per second.")] = 200,
    seconds: Annotated[float, typer.Option(help="How long.")] = 60.0,
    as_json: report.JsonFile = None,
) -> None:
    """Measure the flow page under load. Exit code 1 if a record is uncounted."""
    figures = report.finish(asyncio.run(measure(rate, seconds)), as_json, "the flow page")
    raise typer.Exit(1 if figures["uncounted"] else 0)
