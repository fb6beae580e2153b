"""Fixtures of the tests of the pages."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from batalkan.keys import Keys
from tests.harness.web import Browser, Services, WebHarness


@pytest.fixture(scope="session")
def shared_harness(keys: Keys) -> WebHarness:
    """A web service that tests share."""
    return WebHarness(keys)


@pytest.fixture(scope="session")
def shared_app(shared_harness: WebHarness) -> FastAPI:
    """Its replica, which takes long to build."""
    return shared_harness.app()


@pytest.fixture
def harness(shared_harness: WebHarness) -> WebHarness:
    """A web service with stand-ins for the other services, which know nothing yet and were not asked yet."""
    services = shared_harness.services
    services.answers, services.asked, services.slow = {}, [], 0.0
    return shared_harness


@pytest.fixture
def services(harness: WebHarness) -> Services:
    """The stand-ins for the other services."""
    return harness.services


@pytest.fixture
async def browser(harness: WebHarness, shared_app: FastAPI) -> AsyncIterator[Browser]:
    """A browser without cookies."""
    async with harness.browser(shared_app) as browser:
        yield browser
