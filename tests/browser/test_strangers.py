"""Pages of other sites, and scripts in the text of users."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.browser import ways
from tests.browser.users import PHONE, BrowserUsers

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=\"document.title='stolen'\"><script>document.title='stolen'</script>"


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The origin of another site, which serves empty pages."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_another_sites_form_cancels_nothing(users: BrowserUsers, elsewhere: str) -> None:
    """A page of another site that posts the cancel form with the buyer's own browser is turned away."""
    title = ways.something()
    await users.seller(title)
    buyer = await users.buyer()
    order = await buyer.buys(title)
    page = await buyer.page.context.new_page()
    await page.goto(elsewhere)
    await page.set_content(
        f'<form method="post" action="{buyer.url}/web/s/a{order}/cancel"><button>Hadiah</button></form>'
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
        f"{buyer.url.replace('http', 'ws')}/chat/live?ticket={ticket}",
    )
    assert opened is False


async def test_scripts_cannot_read_the_tokens(users: BrowserUsers) -> None:
    """No cookie of ours shows in a script."""
    buyer = await users.buyer()
    assert await buyer.page.evaluate("document.cookie") == ""


async def test_a_script_in_a_message_shows_as_text(users: BrowserUsers) -> None:
    """What is written live, in a note, or as a name is read by the other one as it was written, and does nothing."""
    title = ways.something()
    seller = await users.seller(title)
    buyer = await users.buyer(PHONE)
    await ways.talk(buyer, seller, title)
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
