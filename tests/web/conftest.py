"""The house of the pages."""

import pytest

from batalkan.keys import Keys
from tests.harness.web import Services, WebHarness


@pytest.fixture
def harness(keys: Keys) -> WebHarness:
    """A web service whose surroundings say what a test has them say."""
    return WebHarness(keys, Services())
