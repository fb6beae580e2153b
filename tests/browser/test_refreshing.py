"""What stays and what changes while pages refresh themselves."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Response, Route, WebSocketRoute, expect

from services.accounts.demonstration import PASSWORD as DEMONSTRATION
from tests.browser import ways
from tests.browser.site import BrowserTarget
from tests.browser.users import BrowserUsers
from tests.harness.actors import Agent, Buyer
from tests.harness.waiting import becomes

pytestmark = pytest.mark.browser

REFRESH = (
    "import(document.querySelector('script[src$=\"/app.js\"]').src.replace('app.js', 'regions.js'))"
    ".then((module) => module.refresh())"
)


async def refreshed(page: Page, by: Awaitable[object] | None = None) -> None:
    """Waits until the page has fetched itself, after this was done."""

    def is_page(answer: Response) -> bool:
        return answer.request.resource_type == "fetch" and answer.ok and answer.url == page.url.partition("#")[0]

    async with page.expect_response(is_page, timeout=30_000) as fetched:
        if by is not None:
            await by
    await (await fetched.value).finished()
    await asyncio.sleep(0.2)  # the script works on it


async def test_a_choice_in_a_dialog_stays(users: BrowserUsers) -> None:
    """A dialog that was opened by its address stays modal, and keeps the chosen pieces, while nothing is typed: else
    the button that has the focus would cancel the whole order."""
    buyer, _, title = await users.buyer_and_seller()
    await buyer.orders(title, 3)
    order = await buyer.pays("Rp435.000")
    await buyer.open(f"{order}/cancel")
    await buyer.chooses(1)
    await buyer.button("Batalkan pesanan").focus()
    await refreshed(buyer.page)
    await expect(buyer.page.locator("dialog#cancel:modal")).to_be_visible()
    await expect(buyer.button("Batalkan pesanan")).to_be_focused()
    await buyer.page.keyboard.press("Enter")
    await buyer.sees("1 dari 3 dibatalkan")


async def test_a_dialog_that_a_link_opens_stays(users: BrowserUsers) -> None:
    """The seller's cancel dialog, which the card of a demand opens, outlasts the page's first look at the server; once
    it is closed it stays closed."""
    buyer, seller, order = await ways.bought(users)
    await buyer.button("Chat Seller").click()
    conversation = seller.url + buyer.page.url.removeprefix(buyer.url)
    await seller.open("/")
    dialog = seller.page.locator("dialog#seller-cancel:modal")
    await refreshed(seller.page, seller.page.goto(f"{conversation}#seller-cancel"))
    await expect(dialog).to_be_visible()
    await seller.page.keyboard.press("Escape")
    await buyer.open(f"{order}/cancel")
    await buyer.button("Batalkan pesanan").click()
    await seller.reads("Pesanan dibatalkan oleh pembeli")
    await expect(seller.page.get_by_role("dialog")).to_have_count(0)


async def test_what_was_refused_stays_with_its_reason(users: BrowserUsers) -> None:
    """A choice of no pieces is refused; the dialog keeps the note and says why, also after the page has looked at the
    server."""
    buyer, _, title = await users.buyer_and_seller()
    await buyer.orders(title, 2)
    order = await buyer.pays("Rp290.000")
    await buyer.open(f"{order}/cancel")
    await buyer.chooses(0)
    await buyer.page.get_by_label("Catatan (opsional)").fill("Salah pilih")
    await buyer.button("Batalkan pesanan").click()
    refused = buyer.page.get_by_role("dialog").get_by_role("alert")
    await expect(refused).to_contain_text("paling sedikit satu")
    await refreshed(buyer.page)
    await expect(refused).to_be_visible()
    await expect(buyer.page.get_by_label("Catatan (opsional)")).to_have_value("Salah pilih")


async def test_a_countdown_follows_the_servers_clock(users: BrowserUsers, site: BrowserTarget) -> None:
    """When the demonstration's clock is moved, an open page shows the time that is left, and not what it counted."""
    buyer, _, _ = await ways.bought(users)
    await buyer.sees("Masih bisa dibatalkan 23 jam")
    await site.advance(timedelta(hours=5))
    await buyer.sees("Masih bisa dibatalkan 18 jam")


async def test_a_form_that_led_nowhere_can_be_sent_again(users: BrowserUsers) -> None:
    """As when the person has stopped the request: ten seconds later a press of the button is another try, and not the
    second of two clicks."""
    buyer, _, order = await ways.bought(users)

    async def stay(route: Route) -> None:
        await route.fulfill(status=204)

    await buyer.page.clock.install()
    await buyer.open(f"{order}/cancel")
    await buyer.page.route("**/cancel", stay)
    async with buyer.page.expect_response("**/cancel"):
        await buyer.button("Batalkan pesanan").click(no_wait_after=True)
    await buyer.page.unroute("**/cancel")
    await buyer.page.clock.fast_forward(10_000)
    await buyer.button("Batalkan pesanan").click()
    await buyer.sees("Pesanan dibatalkan oleh pembeli")


async def no_answer(route: Route) -> None:
    """Lets what a script fetches fail, and the pages that a person opens not."""
    await (route.fulfill(status=503) if route.request.resource_type == "fetch" else route.continue_())


async def test_why_a_seller_cannot_cancel_stays(users: BrowserUsers) -> None:
    """The reason outlasts the page's look at the server when its socket opens."""
    buyer, seller, order = await ways.bought(users)
    await buyer.button("Chat Seller").click()
    conversation = buyer.page.url.removeprefix(buyer.url)
    await refreshed(seller.page, seller.page.goto(seller.url + conversation))
    await seller.page.route(f"**{conversation}", no_answer)  # else the dialog goes by itself
    await seller.button("Batalkan sendiri").click()
    await buyer.open(f"{order}/cancel")
    await buyer.button("Batalkan pesanan").click()
    await buyer.sees("Pesanan dibatalkan oleh pembeli")
    await refreshed(seller.page, seller.button("Ya, batalkan dan terima akibatnya").click())
    await expect(seller.page.get_by_role("alert")).to_contain_text("sudah dibatalkan")


async def test_a_refresh_that_failed_is_repeated(users: BrowserUsers) -> None:
    """A conversation asks for what it has missed until it is answered, without hearing of anything else."""
    buyer, seller, order = await ways.bought(users)
    await buyer.button("Chat Seller").click()
    conversation = buyer.page.url.removeprefix(buyer.url)
    await refreshed(seller.page, seller.page.goto(seller.url + conversation))
    await seller.page.route(f"**{conversation}", no_answer)
    await buyer.open(f"{order}/cancel")
    await buyer.button("Batalkan pesanan").click()
    await seller.sees("Sambungan terputus.")
    await seller.page.unroute(f"**{conversation}")
    await expect(seller.page.locator("[data-offline]")).to_be_hidden()
    await expect(seller.page.locator("[data-region=about]")).to_contain_text("Dibatalkan")


async def test_the_focus_goes_to_no_other_order(users: BrowserUsers, site: BrowserTarget) -> None:
    """Orders of one product have titles alike, and demands have buttons alike. While others come and go, the focus
    stays with its own order; when that is gone, the page has it."""
    title = "Kopi Serupa"
    seller = await users.seller(title)
    async with httpx.AsyncClient(base_url=site.url) as http:
        agent = await Agent.sign_in(http, "agent@example.com", DEMONSTRATION)
        await agent.duty()
        buyers = [await Buyer.register(http, "buyer") for _ in range(2)]
        (product,) = (await buyers[0].get("/orders/products", title=title))["items"]
        orders = [await buyer.buy(product["product_id"]) for buyer in buyers]
        await seller.open("/")
        older = seller.page.locator(f"[data-region=orders] h2 a[href$='{orders[0]}']")
        await older.focus()
        await buyers[0].buy(product["product_id"])
        await expect(seller.page.locator("[data-region=orders] h2 a")).to_have_count(3)
        await expect(older).to_be_focused()
        for buyer, order in zip(buyers, orders, strict=True):
            case = (await buyer.send("/cs/cases", text="Penjual diam."))["case_id"]
            await buyer.once_known(f"/cs/cases/{case}/order", order_id=order)
            await agent.send(f"/cs/cases/{case}/contact-seller")
        demands = seller.page.locator(".demand")
        await expect(demands).to_have_count(2)
        await demands.filter(has_text=orders[1][-6:].upper()).get_by_role("link", name="Batalkan sendiri").focus()
        (await buyers[1].cancel(orders[1])).raise_for_status()
        await expect(demands).to_have_count(1)
        await expect(seller.page.locator("#content")).to_be_focused()


async def test_a_chosen_order_stays_chosen(users: BrowserUsers) -> None:
    """When the list of the orders that a case may be about grows, the order that is shared is still the chosen one."""
    buyer, _, title = await users.buyer_and_seller()
    orders = [(await buyer.buys(title)).removeprefix("/orders/") for _ in range(2)]
    await buyer.open("/help")
    await buyer.page.get_by_label("Ada masalah apa?").fill("Penjual diam.")
    await buyer.button("Mulai Live Chat").click()
    which = buyer.page.get_by_label("Pesanan yang mana?")
    await which.select_option(orders[0])
    await which.blur()
    tab = replace(buyer, page=await buyer.page.context.new_page())
    await tab.buys(title)
    await buyer.page.evaluate(REFRESH)
    await expect(which.locator("option")).to_have_count(3)
    await expect(which).to_have_value(orders[0])


async def test_another_person_gets_a_page_of_their_own(users: BrowserUsers) -> None:
    """When another person signs in at the seat, in another tab, the open page keeps nothing of the former one; a
    refresh that a limit refuses is repeated until then."""
    buyer, other = await users.buyer(), await users.buyer()
    await ways.links_dana(buyer)
    await buyer.page.route("**/wallet", lambda route: route.fulfill(status=429))
    await buyer.sees("Sambungan terputus.")
    await buyer.page.unroute("**/wallet")
    await expect(buyer.page.locator("[data-offline]")).to_be_hidden()
    await buyer.sees("Terhubung ke +62")
    cookies: Any = await other.page.context.cookies()
    await buyer.page.context.add_cookies(cookies)
    await expect(buyer.page.get_by_label("Nomor ponsel DANA")).to_be_visible()


async def test_a_connection_that_is_lost_silently_is_replaced(users: BrowserUsers) -> None:
    """A socket over which no answer to a ping comes is given up for another."""
    buyer, _, _ = await ways.bought(users)
    opened: list[WebSocketRoute] = []

    def open_to_nowhere(socket: WebSocketRoute) -> None:
        opened.append(socket)

    async def connections() -> int:
        return len(opened)

    await buyer.page.clock.install()
    await buyer.page.route_web_socket("**/chat/live*", open_to_nowhere)
    await buyer.button("Chat Seller").click()
    await becomes(connections, 1)
    await buyer.page.clock.run_for(35_000)
    assert len(opened) == 1
    await buyer.page.clock.run_for(10_000)
    await becomes(connections, 2)
