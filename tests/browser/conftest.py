"""A site, a browser program, and users."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.async_api import Browser, async_playwright, expect

from batalkan.servers.packages import find, install
from tests.browser.site import Site
from tests.browser.users import BrowserUsers

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """The distribution's Chromium, installed if need be and possible."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("browser") / "install.log", names=["chromium"])
    expect.set_options(timeout=30_000)  # for machines with other things to do
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=find("chromium"), args=list(FLAGS))
        yield started
        await started.close()


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    """Everything in this process, with databases that no other module has written to."""
    with TemporaryDirectory(prefix="batalkan-browser-") as folder:
        site = Site(Path(folder))
        await site.start()
        yield site
        await site.stop()


@pytest.fixture
async def users(browser: Browser, site: Site) -> AsyncIterator[BrowserUsers]:
    """Users; at the end their pages must have no complaints."""
    users = BrowserUsers(browser, site.url)
    yield users
    await users.leave()
    assert users.complaints == []
