"""Fixtures of the tests of the pages."""

import pytest

from batalkan.keys import Keys
from tests.harness.web import Services, WebHarness


@pytest.fixture
def harness(keys: Keys) -> WebHarness:
    """A web service with stand-ins for the other services."""
    return WebHarness(keys, Services())
