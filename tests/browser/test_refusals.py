"""Refusals, and how the pages show them."""

from datetime import timedelta

import pytest
from playwright.async_api import expect

from tests.browser import ways
from tests.browser.site import BrowserTarget
from tests.browser.users import PHONE, BrowserUsers

pytestmark = pytest.mark.browser


async def test_too_late(users: BrowserUsers, site: BrowserTarget) -> None:
    """After 24 hours a dialog that was left open is refused, with the reason and the ways that are left."""
    buyer, _, _ = await ways.bought(users, PHONE)
    await buyer.link("Batalkan pesanan").click()
    await buyer.page.get_by_label("Berubah pikiran").check()  # or else the dialog goes by itself
    await site.advance(timedelta(hours=24, seconds=1))
    await buyer.button("Batalkan pesanan").click()
    await expect(buyer.page.get_by_role("alert")).to_have_text("Batas waktu 1 × 24 jam sejak memesan sudah lewat.")
    await buyer.sees("Anda masih bisa meminta penjual lewat Chat Seller")
    await expect(buyer.link("Batalkan pesanan")).to_have_count(0)
    await expect(buyer.button("Chat Seller")).to_be_visible()


async def test_already_shipped(users: BrowserUsers) -> None:
    """An order that ships while the buyer thinks is not cancelled, and the page says why; a dialog in which nothing was
    chosen yet goes by itself."""
    buyer, seller, order = await ways.bought(users)
    idle = await buyer.page.context.new_page()
    await idle.goto(f"{buyer.url}/web/s/a{order}/cancel")
    await expect(idle.get_by_role("dialog")).to_be_visible()
    await buyer.link("Batalkan pesanan").click()
    await buyer.page.get_by_label("Berubah pikiran").check()
    await seller.open("/")
    await seller.page.get_by_role("button", name="Kemas").click()
    await seller.open("/?status=packed")
    await seller.page.locator("form").get_by_role("button", name="Kirim barang").click()
    await seller.sees("Pesanan dikirim.")
    await buyer.button("Batalkan pesanan").click()
    await expect(buyer.page.get_by_role("alert")).to_contain_text("Pesanan sudah dikirim")
    await buyer.sees("tidak bisa dibatalkan lewat cara apa pun")
    await expect(idle.get_by_role("dialog")).to_have_count(0)
    await expect(idle.get_by_text("tidak bisa dibatalkan lewat cara apa pun")).to_be_visible()


async def test_asked_twice_in_two_tabs(users: BrowserUsers) -> None:
    """Two tabs with the same dialog cancel once: one cancellation, one refund, and neither tab shows an error."""
    buyer, _, order = await ways.bought(users)
    tabs = [buyer.page, await buyer.page.context.new_page()]
    for tab in tabs:
        await tab.goto(f"{buyer.url}/web/s/a{order}/cancel")
    for tab, reason in zip(tabs, ("Berubah pikiran", "Pesanan ganda"), strict=True):
        await tab.get_by_label(reason).check()
        await tab.get_by_role("button", name="Batalkan pesanan", exact=True).click()
        await expect(tab.get_by_text("Alasan: Berubah pikiran")).to_be_visible()
        await expect(tab.get_by_role("alert")).to_have_count(0)
    await ways.has_money_back(buyer, "Lazada Kredit")
    await buyer.open("/wallet")
    await expect(buyer.page.locator("[data-region=entries] li")).to_have_count(1)


async def test_a_guide_is_not_sent_unasked(users: BrowserUsers) -> None:
    """A second guide without a message of the buyer is refused, and the page shows the reason."""
    _, seller = await ways.talking(users)
    await seller.button("Kirim panduan").click()
    await seller.reads("Cara membatalkan pesanan ini")
    await seller.button("Kirim panduan").click()
    await seller.sees("Panduan menjawab pesan pembeli. Tunggu sampai pembeli menulis.")


async def test_a_message_that_is_refused_says_why(users: BrowserUsers) -> None:
    """The reason stands below the text, which stays; once the session is over the page asks to sign in."""
    buyer, _ = await ways.talking(users)
    box = buyer.page.get_by_label("Tulis pesan")
    key = buyer.page.locator(".composer [name=key]")
    await box.fill("Satu")
    sent = await key.input_value()
    await box.press("Enter")
    await expect(box).to_have_value("")
    await key.evaluate("(key, sent) => (key.value = sent)", sent)  # another text under the same key is refused
    await box.fill("Dua")
    await box.press("Enter")
    await expect(buyer.page.locator(".composer .state")).to_have_text("Permintaan ini tidak dapat dijalankan.")
    await expect(box).to_have_value("Dua")
    await buyer.page.context.clear_cookies()
    await box.press("Enter")
    await buyer.page.wait_for_url("**/sign-in?**")
