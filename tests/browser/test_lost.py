"""What is lost and comes back: pages, servers, the connection, DANA."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.browser import ways
from tests.browser.site import BrowserTarget
from tests.browser.users import PHONE, BrowserUsers

pytestmark = pytest.mark.browser


async def test_a_page_is_loaded_anew_in_mid_chat(users: BrowserUsers) -> None:
    """After a reload the conversation stands as it was, and goes on live, each message once and in order."""
    buyer, seller = await ways.talking(users, PHONE)
    await seller.says("Satu")
    await buyer.page.reload()
    await buyer.reads("Satu")
    await seller.says("Dua")
    await buyer.reads("Dua")
    await buyer.says("Tiga")
    await seller.reads("Tiga")
    numbers = await buyer.page.locator(".said").evaluate_all("items => items.map((item) => Number(item.dataset.seq))")
    assert numbers == [1, 2, 3, 4]


async def test_the_server_is_restarted_in_mid_chat(users: BrowserUsers, site: BrowserTarget) -> None:
    """While the server is away the page shows it and keeps unsent text; afterwards both continue without a reload."""
    buyer, seller = await ways.talking(users)
    await site.stop()
    await buyer.sees("Sambungan terputus.")
    await buyer.page.get_by_label("Tulis pesan").fill("Masih di sana?")
    await buyer.page.keyboard.press("Enter")
    await buyer.sees("Belum terkirim. Coba lagi.")
    await site.start()
    await expect(buyer.page.locator("[data-offline]")).to_be_hidden()
    await buyer.page.get_by_label("Tulis pesan").press("Enter")
    await buyer.reads("Masih di sana?")
    await seller.reads("Masih di sana?")
    await seller.says("Ya, Kak.")
    await buyer.reads("Ya, Kak.")
    await expect(buyer.page.locator(".said", has_text="Masih di sana?")).to_have_count(1)


async def test_a_phone_loses_its_network(users: BrowserUsers) -> None:
    """Messages of the meantime appear when the network is back, without a gap and without a reload."""
    buyer, seller = await ways.talking(users, PHONE)
    await buyer.page.context.set_offline(True)
    await buyer.sees("Sambungan terputus.")
    for words in ("Pertama", "Kedua", "Ketiga"):
        await seller.says(words)
    await buyer.page.context.set_offline(False)
    await buyer.reads("Ketiga")
    shown = await buyer.page.locator(".said.theirs p").all_inner_texts()
    assert shown == ["Pertama", "Kedua", "Ketiga"]


async def test_what_is_typed_while_a_message_is_sent_stays(users: BrowserUsers) -> None:
    """On a slow line the next message can be begun before the first has arrived."""
    buyer, _ = await ways.talking(users)
    box = buyer.page.get_by_label("Tulis pesan")
    arrive = asyncio.Event()

    async def slowly(route: Route) -> None:
        await arrive.wait()
        await route.continue_()

    await buyer.page.route("**/say", slowly)
    await box.press_sequentially("Satu")
    await box.press("Enter")
    await buyer.sees("Mengirim")
    await box.press_sequentially("Dua")
    arrive.set()
    await buyer.reads("Satu")
    await expect(box).to_have_value("Dua")
    await box.press("Enter")
    await buyer.reads("Dua")
    assert await buyer.page.locator(".said.mine p").all_inner_texts() == [ways.FIRST, "Satu", "Dua"]


async def test_a_quick_reply_leaves_the_draft(users: BrowserUsers) -> None:
    """A quick reply is sent with its own words; what is typed in the box stays there, and is sent by hand."""
    buyer, seller = await ways.talking(users)
    await seller.button("Batalkan sendiri").click()
    await seller.button("Ya, batalkan dan terima akibatnya").click()
    box = buyer.page.get_by_label("Tulis pesan")
    await box.fill("Kapan uangnya")
    await buyer.page.locator("[data-quick]").first.click()
    await buyer.reads("terima kasih banyak atas bantuannya")
    await expect(box).to_have_value("Kapan uangnya")
    await box.press("Enter")
    await seller.reads("Kapan uangnya")
    await expect(box).to_have_value("")


async def test_a_draft_outlasts_its_page(users: BrowserUsers) -> None:
    """What is typed is there again after another form was sent, or a link was followed, but not for another person; a
    message whose answer was lost is still the same one, and does not arrive twice."""
    buyer, seller = await ways.talking(users)
    conversation, cookies = seller.page.url, seller.page.context
    box = seller.page.get_by_label("Tulis pesan")
    await box.fill("Sebentar")
    await seller.button("Kirim panduan").click()
    await seller.reads("Cara membatalkan pesanan ini")
    await expect(box).to_have_value("Sebentar")
    await seller.page.route("**/say", lost, times=1)
    await box.press("Enter")
    await seller.sees("Belum terkirim. Coba lagi.")
    own: Any = await cookies.cookies()
    buyers: Any = await buyer.page.context.cookies()
    await seller.open("/chat")
    await cookies.add_cookies(buyers)
    await seller.page.goto(conversation)
    await expect(box).to_have_value("")
    await cookies.add_cookies(own)
    await seller.page.goto(conversation)
    await expect(box).to_have_value("Sebentar")
    await box.press("Enter")
    await expect(box).to_have_value("")
    await seller.page.reload()
    await expect(seller.page.locator(".said.mine", has_text="Sebentar")).to_have_count(1)
    await expect(box).to_have_value("")


async def lost(route: Route) -> None:
    """Lets a request arrive, but not its answer."""
    await route.fetch()
    await route.abort()


async def test_a_message_is_changed_after_its_answer_was_lost(users: BrowserUsers) -> None:
    """It did arrive; what it was changed to is another message, not a wrong repetition of the first."""
    buyer, _ = await ways.talking(users)
    box = buyer.page.get_by_label("Tulis pesan")

    await buyer.page.route("**/say", lost, times=1)
    await box.fill("Satu")
    await box.press("Enter")
    await buyer.sees("Belum terkirim. Coba lagi.")
    await box.fill("Satu lagi")
    await box.press("Enter")
    await expect(buyer.page.locator(".said.mine p")).to_have_text([ways.FIRST, "Satu", "Satu lagi"])


async def test_a_path_that_dies_silently_keeps_no_message(users: BrowserUsers) -> None:
    """Without an answer the message counts as not sent, and its repetition does not arrive twice; what is unread is
    asked for again."""
    buyer, seller = await ways.talking(users)
    await buyer.page.add_init_script(
        "const timeout = AbortSignal.timeout; AbortSignal.timeout = (span) => timeout.call(AbortSignal, span / 5)"
    )
    asked: list[Route] = []

    async def arrive(route: Route) -> None:
        await route.fetch()

    await buyer.page.route("**/say", arrive, times=1)
    await buyer.page.route("**/unread", lambda route: asked.append(route), times=1)
    async with buyer.page.expect_response("**/unread"):
        await buyer.page.reload()
    assert asked
    box = buyer.page.get_by_label("Tulis pesan")
    await box.fill("Halo?")
    await box.press("Enter")
    await buyer.sees("Belum terkirim. Coba lagi.")
    await expect(box).to_have_value("Halo?")
    await box.press("Enter")
    await expect(box).to_have_value("")
    await seller.reads("Halo?")
    await expect(buyer.page.locator(".said.mine p")).to_have_text([ways.FIRST, "Halo?"])


async def test_news_that_was_refused_is_asked_for_again(users: BrowserUsers) -> None:
    """The socket stays while the pages are away for a moment, and the messages of that time appear automatically."""
    buyer, seller = await ways.talking(users)
    await buyer.page.route("**/messages?after=*", lambda route: route.fulfill(status=502), times=2)
    await seller.says("Masih ada, Kak.")
    await buyer.reads("Masih ada, Kak.")
    await expect(buyer.page.locator("[data-offline]")).to_be_hidden()


async def test_dana_is_down_and_comes_back(users: BrowserUsers, site: BrowserTarget) -> None:
    """While DANA is down the order shows that the money has not arrived; when it is back, that it has."""
    buyer, _, title = await users.buyer_and_seller()
    await ways.links_dana(buyer)
    await buyer.buys(title)
    await site.make_dana("down")
    try:
        await buyer.link("Batalkan pesanan").click()
        await buyer.button("Batalkan pesanan").click()
        await buyer.sees("Rp145.000 sedang dikirim ke DANA •••7890. Belum sampai; kami terus mencoba.")
    finally:
        await site.make_dana("well")
    async with asyncio.timeout(60):
        await ways.has_money_back(buyer, "DANA •••7890")
