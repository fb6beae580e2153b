"""The four ways to cancel, each user in a browser of their own."""

import pytest

from tests.browser import ways
from tests.browser.site import Site
from tests.browser.users import BrowserUsers

pytestmark = pytest.mark.browser


async def test_in_the_app(users: BrowserUsers) -> None:
    """On a phone a buyer goes from the profile to the order, gives a reason, and sees the money come back."""
    await ways.by_app(users)


async def test_on_the_website(users: BrowserUsers) -> None:
    """On a desktop a buyer skips the reason, and the money arrives at DANA."""
    await ways.by_website(users)


async def test_with_the_sellers_guide(users: BrowserUsers) -> None:
    """The guide's card opens the cancel dialog of its order; afterwards one tap thanks the seller."""
    await ways.by_guide(users)


async def test_by_the_seller(users: BrowserUsers) -> None:
    """Before a seller cancels, the page shows the effect on the score."""
    await ways.by_seller(users)


async def test_through_customer_service(users: BrowserUsers, site: Site) -> None:
    """From the queue to the rating: the seller is silent for 24 hours, and the order is cancelled automatically."""
    await ways.by_customer_service(users, site.advance)
