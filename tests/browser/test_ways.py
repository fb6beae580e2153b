"""The four ways to cancel, each user in a browser of their own."""

from collections.abc import Awaitable, Callable

import pytest

from tests.browser.users import BrowserUsers
from tests.browser.ways import WAYS

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("walk", WAYS, ids=lambda walk: walk.__name__)
async def test_a_way_ends_with_the_money(users: BrowserUsers, walk: Callable[[BrowserUsers], Awaitable[None]]) -> None:
    """In the app, on the website, with the guide, by the seller and through customer service, the order is cancelled
    and the buyer sees the money come back."""
    await walk(users)
