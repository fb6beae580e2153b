"""A site, a browser program, and users."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from batalkan.servers.packages import install
from tests.browser.gallery import chromium
from tests.browser.site import BrowserTarget, Site, new_site
from tests.browser.users import BrowserUsers


@pytest.fixture(scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """The distribution's Chromium, installed if need be and possible."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("browser") / "install.log", names=["chromium"])
    expect.set_options(timeout=60_000)  # for machines with other things to do
    async with chromium() as started:
        yield started


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    """Everything in this process, with databases that no other module has written to."""
    async with new_site() as site:
        yield site


@pytest.fixture
async def users(browser: Browser, site: BrowserTarget) -> AsyncIterator[BrowserUsers]:
    """Users; at the end their pages must have no complaints."""
    users = BrowserUsers(browser, site)
    yield users
    await users.leave()
    assert users.complaints == []
