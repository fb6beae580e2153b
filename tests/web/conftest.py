"""The house of the pages."""

import pytest

from batalkan.keys import Keys
from tests.harness.web import House, Services


@pytest.fixture
def house(keys: Keys) -> House:
    """A web service whose surroundings say what a test has them say."""
    return House(keys, Services())
