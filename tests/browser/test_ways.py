"""The four ways to cancel, each user in a browser of their own; and all that a buyer meets from the shop on."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Locator, expect

from tests.browser import ways
from tests.browser.users import BrowserUser, BrowserUsers
from tests.browser.ways import WAYS

pytestmark = pytest.mark.browser

MOVED = """() => new Promise((done) => new PerformanceObserver((list) => done(
  list.getEntries().reduce((sum, one) => sum + one.value, 0))).observe({type: "layout-shift", buffered: true})
  || setTimeout(() => done(0), 300))"""


@pytest.mark.parametrize("walk", WAYS, ids=lambda walk: walk.__name__)
async def test_a_way_ends_with_the_money(users: BrowserUsers, walk: Callable[[BrowserUsers], Awaitable[None]]) -> None:
    """In the app, on the website, with the guide, by the seller and through customer service, the order is cancelled
    and the buyer sees the money come back."""
    await walk(users)


async def left_edge(place: Locator) -> float:
    """Where something begins, in pixels."""
    box = await place.bounding_box()
    assert box
    return box["x"]


async def has_not_moved(user: BrowserUser) -> None:
    """The page stood still while it was loaded, its typeface included."""
    await user.page.wait_for_function("document.fonts.check('16px \"Plus Jakarta Sans\"')")
    assert await user.page.evaluate(MOVED) < 0.01


async def test_from_the_search_to_the_money(users: BrowserUsers) -> None:
    """A product is found and shows its seller; the order counts down; the dialog has one red button; the money is
    tracked, each part by itself, up to the wallet's number; the lists count and say it."""
    buyer, seller, title = await users.buyer_and_seller()
    await ways.links_dana(buyer)
    await buyer.open("/")
    await has_not_moved(buyer)
    await buyer.page.get_by_label("Cari produk").fill(title.upper())
    await buyer.page.get_by_label("Harga").select_option(label="Sampai Rp150.000")
    await buyer.button("Cari").click()
    card = buyer.page.locator(".product")
    await expect(card).to_have_count(1)
    await expect(card).to_contain_text(seller.name)
    await expect(card).to_contain_text("Nilai penjual 5,0")
    await buyer.page.get_by_label("Cari produk").fill("tidak ada yang begini")
    await buyer.page.keyboard.press("Enter")
    await buyer.sees("Tidak ada produk yang cocok.")

    await buyer.orders(title, 2)
    order = await buyer.pays("Rp290.000")
    await buyer.open(order)
    await has_not_moved(buyer)
    clock = buyer.page.locator("[data-clock]")
    first = await clock.inner_text()
    assert first.startswith("23:59:")
    await expect(clock).not_to_have_text(first)
    side = buyer.page.locator(".order-page > *")
    assert await left_edge(side.nth(1)) > await left_edge(side.nth(0))
    await buyer.link("Batalkan pesanan").click()
    dialog = buyer.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("ke DANA •••7890")
    await expect(dialog.locator(".danger")).to_have_count(1)
    await buyer.chooses(1)
    await buyer.page.get_by_label("Berubah pikiran").check()
    await buyer.button("Batalkan pesanan").click()
    await buyer.sees("Rp145.000 sudah kembali sepenuhnya ke DANA •••7890.")
    await buyer.link("Batalkan pesanan").click()
    await buyer.button("Batalkan pesanan").click()
    trackers = buyer.page.locator(".tracker")
    await expect(trackers).to_have_count(2)
    for tracker in await trackers.all():
        await expect(tracker.locator(".big")).to_have_text("Rp145.000")
        await expect(tracker.locator("li")).to_have_text(["Dibatalkan", "Dikirim ke DANA •••7890", "Masuk"])
        await expect(tracker.locator("[aria-current]")).to_have_text("Masuk")
    behind = buyer.link("Di balik layar")
    assert await behind.get_attribute("href") == f"/web/flow?trace={order.removeprefix('/orders/')}"

    await buyer.open("/orders")
    await expect(buyer.link("Dibatalkan 1")).to_be_visible()
    await buyer.sees("Jumlah: 2")
    await buyer.sees("Rp290.000 sudah kembali")
