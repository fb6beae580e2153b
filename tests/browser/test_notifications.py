"""Notifications in the browser."""

import pytest
from playwright.async_api import expect

from tests.browser import ways
from tests.browser.users import PHONE, BrowserUsers

pytestmark = pytest.mark.browser


async def test_notifications_arrive_on_the_open_page(users: BrowserUsers) -> None:
    """The seller reads of the paid order, and of its cancellation without loading the page again; the bell counts what
    is new until it is marked as read."""
    buyer, seller, order = await ways.bought(users, PHONE)
    await seller.open("/notifications")
    await seller.sees("Pesanan baru, sudah dibayar")
    await buyer.open(f"{order}/cancel")
    await buyer.button("Batalkan pesanan").click()
    await seller.sees("dibatalkan oleh pembeli lewat aplikasi")
    bell = seller.page.locator("[data-count=notifications]")
    await expect(bell).to_have_text("2")
    await seller.button("Tandai semua sudah dibaca").click()
    await expect(seller.page.get_by_text("Baru", exact=True)).to_have_count(0)
    await expect(bell).to_be_hidden()
