"""Pages with made-up services behind them, on a phone and on a desktop: what is there can be seen and pressed."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import httpx
import pytest
from playwright.async_api import Browser, expect

from batalkan.keys import Keys
from tests.harness.serving import served
from tests.harness.web import Services, WebHarness
from tests.web.market import GONE, ID, meet, open_market
from tests.web.test_operate import DUE, open_console

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

TITLE = "Kemeja batik pria lengan panjang, motif parang, bahan katun halus, untuk acara keluarga"
PAGES = {
    "buyer": [
        "/",
        f"/products/{ID}",
        "/orders",
        f"/orders/{ID}/cancel",
        f"/orders/{GONE}",
        "/wallet",
        f"/chat/{ID}",
        f"/help/{ID}",
        "/help",
    ],
    "seller": ["/", f"/orders/{ID}", f"/chat/{ID}", "/products"],
    "agent": ["/", f"/cases/{ID}", f"/cases/{ID}#order"],
}
STICKS_OUT = """() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const pressed = "input:not([type=hidden]), select, textarea, button, .tabs a, .chip";
  const cut = [...document.querySelectorAll(pressed)].filter((one) => {
    const scrolls = one.closest(".quick") || (one.closest(".tabs") && innerWidth < 760);
    const inner = one.getBoundingClientRect();
    if (!inner.width || scrolls) return false;
    const outer = (one.closest("dialog, .card, .actions, .tabs, .composer") ?? document.body).getBoundingClientRect();
    return inner.left < outer.left - 1 || inner.right > outer.right + 1;
  });
  for (const select of document.querySelectorAll("select")) {
    const place = select.closest(".card, .actions") ?? document.body;
    const alone = place.appendChild(document.createElement("select"));
    alone.append(select.selectedOptions[0]?.cloneNode(true) ?? "");
    alone.style.position = "absolute";
    const needed = alone.offsetWidth;
    alone.remove();
    if (select.offsetWidth && select.offsetWidth < Math.min(needed, place.clientWidth - 60)) cut.push(select);
  }
  const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  return [...cut.map((one) => one.outerHTML.slice(0, 100)), ...(wide ? ["the page"] : [])];
}"""


@pytest.fixture(scope="module")
def harness(keys: Keys) -> WebHarness:
    """A web service whose surroundings have something for every page."""
    return WebHarness(keys, Services())


@pytest.fixture(scope="module")
async def url(harness: WebHarness) -> AsyncIterator[str]:
    """Where it is served."""
    async with served(harness.app()) as origin:
        yield origin


@pytest.mark.parametrize("width", [358, 390, 1440])
@pytest.mark.parametrize("role", PAGES)
async def test_everything_fits(browser: Browser, harness: WebHarness, url: str, role: str, width: int) -> None:
    """With all that can be unfolded unfolded, no field, button or tab sticks out of its place, however long the titles
    are; and what is chosen can be read where there is room for it. Beside another role on a phone there are 358 px."""
    open_market(harness, TITLE)
    context = await browser.new_context(base_url=url, locale="id-ID", viewport={"width": width, "height": 844})
    token = harness.token(role)
    meet(harness, role, token)
    await context.add_cookies([{"name": "access", "value": token, "url": f"{url}/web/s/a"}])
    page = await context.new_page()
    found = []
    for path in PAGES[role]:
        await page.goto(f"/web/s/a{path}")
        found += [f"{path}: {one}" for one in await page.evaluate(STICKS_OUT)]
    await context.close()
    assert found == []


async def test_nothing_shows_below_a_sheets_buttons(browser: Browser, harness: WebHarness, url: str) -> None:
    """A dialog that is higher than the window is scrolled above its buttons; they are its end."""
    open_market(harness, TITLE)
    context = await browser.new_context(base_url=url, locale="id-ID", viewport={"width": 390, "height": 600})
    token = harness.token("buyer")
    meet(harness, "buyer", token)
    await context.add_cookies([{"name": "access", "value": token, "url": f"{url}/web/s/a"}])
    page = await context.new_page()
    await page.goto(f"/web/s/a/orders/{ID}/cancel")
    at_the_end = "document.elementFromPoint(innerWidth / 2, innerHeight - 3).closest('dialog .ends') !== null"
    assert await page.evaluate("document.querySelector('dialog').scrollHeight > innerHeight")
    assert await page.evaluate(at_the_end)
    await page.evaluate("document.querySelector('dialog').scrollTo(0, 1e4)")
    assert await page.evaluate(at_the_end)
    await context.close()


async def test_no_column_is_out_of_sight(browser: Browser, harness: WebHarness, url: str) -> None:
    """The console's tables fit on a phone, however long the kinds of deadlines are."""
    open_console(harness.services)
    due = DUE | {"kind": "seller_silent"}
    harness.services.answers["GET /cs/operator/deadlines"] = httpx.Response(200, json=[due])
    context = await browser.new_context(base_url=url, locale="id-ID", viewport={"width": 390, "height": 844})
    await context.add_cookies([{"name": "access", "value": harness.token("operator"), "url": f"{url}/web/operate"}])
    page = await context.new_page()
    for path in ("deadlines", "audit", f"trace?id={ID}"):
        await page.goto(f"/web/operate/{path}")
        tables = page.locator(".scroll:has(table)")
        assert await tables.count()
        assert not await tables.evaluate_all("all => all.some((one) => one.scrollWidth > one.clientWidth)"), path
    await context.close()


async def test_two_roles_are_signed_in(browser: Browser, harness: WebHarness, url: str) -> None:
    """Side by side no password is asked for: each frame has the role of its seat, also after another role is chosen.
    Outside of a frame the sign-in form is shown."""
    open_market(harness, TITLE)

    def token(request: httpx.Request) -> httpx.Response:
        role = parse_qs(request.content.decode())["username"][0].partition("@")[0]
        return httpx.Response(200, json=harness.token_answer(role=role))

    harness.services.answers["POST /accounts/token"] = token
    context = await browser.new_context(base_url=url, locale="id-ID")
    page = await context.new_page()
    await page.goto("/web/two?left=a&right=c")
    for number, role in enumerate(("Pembeli", "Petugas")):
        await expect(page.frame_locator("iframe").nth(number).locator(".chip.role")).to_have_text(role)
    await page.goto("/web/s/b/")
    await expect(page.locator("form[action$='/sign-in']")).to_be_visible()
    await context.close()
