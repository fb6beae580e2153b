"""Accessibility of the pages: checked by axe-core, and by keyboard."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from services.accounts.demonstration import PASSWORD as DEMONSTRATION
from tests.browser import axe, ways
from tests.browser.album import Sight, prepare
from tests.browser.gallery import choose, look, scrolls_sideways, visitor
from tests.browser.site import Site
from tests.browser.users import PHONE, BrowserUsers
from tests.harness.actors import Agent, Buyer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
async def sights(site: Site) -> list[Sight]:
    """All pages, with something on them."""
    async with httpx.AsyncClient(base_url=site.url) as http:
        return [sight for sight in await prepare(http, site.system.database_urls) if not sight.alike]


@pytest.mark.parametrize(("lang", "width", "theme"), [("id", 390, "light"), ("en", 1440, "dark")])
async def test_every_page(browser: Browser, site: Site, sights: list[Sight], lang: str, width: int, theme: str) -> None:
    """axe-core finds no violation on any page, in either language and colour scheme; and from the narrowest phone to
    the widest screen no page scrolls sideways."""
    context = await visitor(
        browser, site.url, viewport={"width": width, "height": 900}, bypass_csp=True, reduced_motion="reduce"
    )
    await choose(context, site.url, lang=lang, theme=theme)
    found: list[str] = []
    page = await context.new_page()
    others = (360, 760) if lang == "id" else (1920,)
    console = [sight for sight in sights if sight.role == "operator"]
    left_out = console[::2] if lang == "id" else console[1::2]  # they share their parts: each in one of the two
    for sight in sights:
        if sight in left_out:
            continue
        await look(page, sight)
        assert await page.locator("html").get_attribute("lang") == lang
        wrong = await axe.violations(page)
        if sight in console:  # the other scheme, of which only the contrast depends
            await page.locator("html").evaluate(
                "(html) => (html.dataset.theme = html.dataset.theme === 'dark' ? 'light' : 'dark')"
            )
            wrong += await axe.violations(page, "{runOnly: ['color-contrast']}")
        for other in (*others, width):
            await page.set_viewport_size({"width": other, "height": 900})
            if await scrolls_sideways(page):
                wrong.append(f"scrolls sideways at {other}")
        found += [f"{sight.name}: {one}" for one in wrong]
    await context.close()
    assert found == []


async def test_the_first_page_is_light(browser: Browser, site: Site) -> None:
    """The start page with all that it loads but the typeface weighs less than 100 KB, nothing of it from another
    origin."""
    context = await browser.new_context()
    page = await context.new_page()
    sizes: dict[str, int] = {}

    async def weigh(url: str, size: Any) -> None:
        sizes[url] = len(await size())

    weighing: list[asyncio.Task[None]] = []
    page.on("response", lambda answer: weighing.append(asyncio.create_task(weigh(answer.url, answer.body))))
    await page.goto(f"{site.url}/web/", wait_until="networkidle")
    await asyncio.gather(*weighing)
    await context.close()
    assert sizes
    assert all(url.startswith(site.url) for url in sizes)
    assert sum(size for url, size in sizes.items() if not url.endswith(".woff2")) < 100_000, sizes


async def test_an_order_is_cancelled_with_the_keyboard_alone(users: BrowserUsers) -> None:
    """The dialog takes the focus, Escape closes it and gives the focus back, and Enter on a button cancels."""
    buyer, _, _ = await ways.bought(users, PHONE)
    await buyer.link("Batalkan pesanan").focus()
    await buyer.page.keyboard.press("Enter")
    await expect(buyer.page.get_by_role("heading", name="Batalkan pesanan ini?")).to_be_focused()
    await buyer.page.keyboard.press("Escape")
    await expect(buyer.link("Batalkan pesanan")).to_be_focused()
    await buyer.page.keyboard.press("Enter")
    await buyer.page.keyboard.press("Tab")
    await buyer.page.keyboard.press("Space")
    await expect(buyer.page.get_by_label("Berubah pikiran")).to_be_checked()
    await buyer.page.keyboard.press("Tab")
    await buyer.page.keyboard.press("Tab")
    await buyer.page.keyboard.press("Enter")
    await buyer.sees("Alasan: Berubah pikiran")


async def test_a_dialog_that_an_address_opened_returns_the_focus(users: BrowserUsers) -> None:
    """Closed, it leads to the button that opens it; without one, to the page."""
    buyer, _, order = await ways.bought(users, PHONE)
    await buyer.open(f"{order}/cancel")
    await expect(buyer.page.get_by_role("heading", name="Batalkan pesanan ini?")).to_be_focused()
    await buyer.page.keyboard.press("Escape")
    await expect(buyer.link("Batalkan pesanan")).to_be_focused()
    await buyer.page.keyboard.press("Enter")
    await buyer.page.locator("[data-opens=cancel]").evaluate("(opener) => opener.remove()")
    await buyer.page.keyboard.press("Escape")
    await expect(buyer.page.locator("#content")).to_be_focused()


@pytest.mark.usefixtures("sights")
async def test_an_operator_discards_a_message_with_the_keyboard_alone(browser: Browser, site: Site) -> None:
    """From the list of parked messages over the one question to the audit log, without a mouse and without scripts."""
    context = await visitor(browser, site.url, java_script_enabled=False, locale="id-ID")
    page = await context.new_page()
    await page.goto("/web/operate/parked")
    await page.locator("section", has=page.locator("#chat")).locator("summary").first.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="Buang", exact=True).focus()
    await page.keyboard.press("Enter")
    await page.get_by_label("Alasan").focus()
    await page.keyboard.type("Diterbitkan ulang dengan tangan")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("Pesan dibuang.")
    await page.get_by_role("link", name="Audit").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("row").nth(1)).to_contain_text("Diterbitkan ulang dengan tangan")
    await context.close()


async def test_a_page_works_without_scripts(users: BrowserUsers) -> None:
    """Without scripts an order is placed, paid and cancelled all the same, by the seller in the chat, too; the channel
    follows the browser's word."""
    title = "Kopi Tanpa Skrip"
    seller = await users.visitor("Toko Tanpa Skrip", java_script_enabled=False)
    await seller.signs_up("seller")
    await seller.offers(title)
    buyer = await users.visitor(
        "Tanpa Skrip", PHONE, java_script_enabled=False, user_agent="Mozilla/5.0 (Android) Mobile"
    )
    await buyer.signs_up("buyer")
    await buyer.buys(title)
    await buyer.link("Batalkan pesanan").click()
    await buyer.button("Batalkan pesanan").click()
    await buyer.sees("Pesanan dibatalkan oleh pembeli lewat aplikasi")
    await buyer.buys(title)
    await buyer.button("Chat Seller").click()
    await seller.page.goto(seller.url + buyer.page.url.removeprefix(buyer.url))
    await expect(seller.button("Batalkan sendiri")).to_be_hidden()
    await seller.link("Batalkan sendiri").click()
    await seller.link("Jangan batalkan").click()
    await seller.link("Batalkan sendiri").click()
    await seller.button("Ya, batalkan dan terima akibatnya").click()
    await seller.sees("Pembatalan diminta")


async def test_nothing_moves_when_news_arrive(users: BrowserUsers) -> None:
    """While the seller packs, the buyer's page of the order changes without moving anything about."""
    buyer, seller, order = await ways.bought(users, PHONE)
    await buyer.open(order)
    await buyer.page.evaluate(
        "window.moved = 0; new PerformanceObserver((list) => "
        "list.getEntries().forEach((one) => (window.moved += one.value))).observe({type: 'layout-shift'})"
    )
    await seller.open(order)
    await seller.button("Kemas").click()
    await seller.sees("Pesanan dikemas.")
    await expect(buyer.page.locator(".timeline [aria-current]")).to_contain_text("Dikemas")
    assert await buyer.page.evaluate("window.moved") < 0.01


async def test_an_agent_and_a_seller_work_with_the_keyboard_alone(users: BrowserUsers, site: Site) -> None:
    """The agent walks through the cases, the conversation and the order, and asks the seller; a countdown turns amber,
    then red, at the desk and in the demand that the seller answers. While one types, keys are letters."""
    async with httpx.AsyncClient(base_url=site.url) as http:
        buyers = [await Buyer.register(http, "buyer") for _ in range(2)]
        product = (await buyers[0].get("/orders/products"))["items"][0]["product_id"]
        agent = await Agent.sign_in(http, "agent@example.com", DEMONSTRATION)
        await agent.duty()
        cases = [str((await buyer.send("/cs/cases", text="Penjual diam."))["case_id"]) for buyer in buyers]
        orders = [await buyer.buy(product) for buyer in buyers]
        for case, buyer, order in zip(cases, buyers, orders, strict=True):
            await buyer.once_known(f"/cs/cases/{case}/order", order_id=order)
    desk = await users.agent()
    keys, page = desk.page.keyboard, desk.page
    await page.wait_for_url(f"**/cases/{cases[0]}")  # it waits longest
    await keys.press("?")
    await expect(page.get_by_role("heading", name="Pintasan")).to_be_focused()
    await keys.press("Escape")
    for key, case in (("j", cases[1]), ("k", cases[0]), ("j", cases[1])):
        await keys.press(key)
        await page.wait_for_url(f"**/cases/{case}")
    await keys.press("r")
    await keys.type("jkd ")
    await keys.press("Escape")
    await keys.press("1")
    await expect(page.get_by_label("Tulis pesan")).to_have_value(re.compile("^jkd Halo Kak, boleh minta data"))
    await keys.press("Enter")
    await desk.reads("jkd Halo Kak")
    await keys.press("Escape")
    await keys.press("o")
    await expect(page.locator(".side")).to_be_focused()
    await keys.press("s")
    await keys.press("Tab")
    await keys.press("Tab")
    await keys.press("Enter")
    await desk.sees("Sisa waktu penjual: 23 jam 59 menit")
    left = page.locator(".cases a[aria-current] .due")
    await expect(left).to_have_class("due")
    await site.advance(timedelta(hours=18, minutes=1))
    await expect(left).to_have_class("due soon")
    await site.advance(timedelta(hours=5))
    await expect(left).to_have_class("due last")
    seller = await users.visitor("Penjual")
    await seller.open("/sign-in")
    await seller.button("Penjual").press("Enter")
    card = seller.page.locator(".demand", has_text=orders[1][-6:].upper())
    await expect(card).to_have_class("card demand due last")
    await card.get_by_role("link", name="Jawab").press("Enter")
    await expect(seller.page.get_by_label("Tulis pesan")).to_be_focused()
    await expect(seller.page.locator(".demand")).to_be_visible()
    await seller.page.keyboard.type("Besok kami kirim.")
    await seller.page.keyboard.press("Enter")
    await expect(page.locator(".cases a[aria-current]")).to_contain_text("Penjual menanggapi")
    await expect(seller.page.locator(".demand")).to_have_count(0)
