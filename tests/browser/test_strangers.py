"""Pages of other sites, and scripts in the text of users."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect
from starlette.responses import HTMLResponse

from tests.browser import ways
from tests.browser.users import PHONE, BrowserUsers
from tests.harness.serving import served

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=\"document.title='stolen'\"><script>document.title='stolen'</script>"


@pytest.fixture
async def elsewhere() -> AsyncIterator[str]:
    """The origin of another site, which serves empty pages."""
    async with served(HTMLResponse()) as origin:
        yield origin.replace("127.0.0.1", "localhost")


async def test_another_sites_form_cancels_nothing(users: BrowserUsers, elsewhere: str) -> None:
    """A page of another site that posts the cancel form with the buyer's own browser is turned away."""
    buyer, _, order = await ways.bought(users)
    page = await buyer.page.context.new_page()
    await page.goto(elsewhere)
    await page.set_content(
        f'<form method="post" action="{users.site.url}/web/s/a{order}/cancel"><button>Hadiah</button></form>'
    )
    async with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        await page.get_by_role("button").click()
    assert (await posted.value).status in (303, 403)
    await buyer.open(order)
    await buyer.sees("Masih bisa dibatalkan")


async def test_another_sites_page_opens_no_socket(users: BrowserUsers, elsewhere: str) -> None:
    """Not even with a good ticket: sockets are for our own pages."""
    buyer = await users.buyer()
    ticket = await buyer.page.evaluate(
        "fetch(document.documentElement.dataset.seat + '/api/chat/tickets', {method: 'POST', body: '{}', "
        "headers: {'Content-Type': 'application/json'}}).then((answer) => answer.json()).then((said) => said.ticket)"
    )
    page = await buyer.page.context.new_page()
    await page.goto(elsewhere)
    opened = await page.evaluate(
        "(url) => new Promise((resolve) => { const socket = new WebSocket(url); "
        "socket.onopen = () => resolve(true); socket.onerror = () => resolve(false); })",
        f"{users.site.url.replace('http', 'ws')}/chat/live?ticket={ticket}",
    )
    assert opened is False


async def test_scripts_cannot_read_the_tokens(users: BrowserUsers) -> None:
    """No cookie of ours shows in a script."""
    buyer = await users.buyer()
    assert await buyer.page.evaluate("document.cookie") == ""


async def test_a_script_in_a_message_shows_as_text(users: BrowserUsers) -> None:
    """What is written live, in a note, or as a name is read by the other one as it was written, and does nothing."""
    buyer, seller = await ways.talking(users, PHONE)
    await buyer.says(EVIL)
    await seller.reads(EVIL)
    await seller.open("/chat")
    await seller.sees(EVIL)
    assert await seller.page.title() == "Chat · Batalkan"
    await buyer.page.locator(".talk-about a").click()
    await buyer.link("Batalkan pesanan").click()
    await buyer.page.get_by_label("Catatan (opsional)").fill(EVIL)
    await buyer.button("Batalkan pesanan").click()
    await expect(buyer.page.get_by_text(f"Catatan: {EVIL}")).to_be_visible()
    assert "stolen" not in await buyer.page.title()
