"""The flow page: it shows events on their way, switches faults on, and the money still comes back in full."""

import json
import re
from typing import Any

import pytest
from playwright.async_api import Route, expect

from contracts.orders import OrderCancelled
from tests.browser import axe
from tests.browser.flow_page import Flow, opened
from tests.browser.gallery import scrolls_sideways
from tests.browser.site import Site
from tests.browser.users import DESKTOP, PHONE, BrowserUsers
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture
async def flow(users: BrowserUsers) -> Flow:
    """The page, open."""
    return await opened(users)


async def test_what_was_started_is_followed_by_name_and_step_by_step(flow: Flow) -> None:
    """The order's journey is named and opened, also by its order's id; each step is drawn and marked in the waterfall;
    the order's page opens for its buyer; and the picture stays in view."""
    await flow.cancel()
    title = flow.part("[data-trace] h2")
    await expect(title).to_have_text(re.compile(r"Pesanan [0-9A-F]{6} · Kopi Gayo 1 kg · situs web"))
    await expect(flow.part("[data-trace]")).to_contain_text("Selesai")
    request = "POST /orders/{order_id}/cancel@orders"
    await expect(flow.part(f"[data-mark='{request}']")).to_have_count(1)  # it is recorded when it has been answered
    for name in (request, None):
        await flow.press("[data-step]")
        await expect(flow.part("[aria-current=step]")).to_have_count(1)
        if name:
            await expect(flow.part("[aria-current=step]")).to_have_attribute("data-mark", name)
    await expect(flow.part("[data-caption]")).to_contain_text("2/")
    await expect(flow.part(".dot text:visible")).to_have_text("OrderCancelRequested")
    await flow.press("[data-pause]")
    await expect(flow.part("[aria-current=step]")).to_have_count(0)
    async with flow.page.expect_popup() as opened:
        await flow.part("[data-trace] form button").click()
    page = await opened.value
    await expect(page.locator("h1")).to_contain_text("Pesanan")
    await flow.page.goto(f"{flow.page.url.partition('?')[0]}?trace={page.url.rpartition('/')[2]}")
    await expect(title).to_contain_text("Kopi Gayo 1 kg")
    await flow.part("[data-log]").scroll_into_view_if_needed()
    await expect(flow.part("[data-node=exchange]")).to_be_in_viewport()


async def test_switches_on_a_node_by_keyboard(flow: Flow) -> None:
    """A node's switches open by keyboard; messages then come twice and lose their consumer, and have their effect once;
    the faults are listed with the time that is left, until all is mended."""
    await flow.part("[data-place=refunds] summary").focus()
    await flow.page.keyboard.press("Enter")
    for switch in ("once", "acknowledging"):
        button = flow.part(f"[data-place=refunds] [data-switch={switch}]")
        await button.press("Space")
        await expect(button).to_have_attribute("aria-pressed", "true")
    for close in ("Escape", "Enter"):
        await flow.page.keyboard.press(close)
        await expect(flow.part("[data-place=refunds] summary")).to_be_focused()
        await flow.page.keyboard.press("Enter")
        await flow.part("[data-place=refunds] [data-closes]").focus()
    await flow.page.keyboard.press("Enter")
    left = r": refunds(10:00|9:\d\d)"
    faults = [re.compile(f"{what}{left}") for what in ("Antar dua kali", "Mati setelah commit")]
    await expect(flow.part("[data-faults] li")).to_have_text(faults)
    await flow.cancel()
    await expect(flow.part(".waterfall")).to_contain_text("datang lagi, diabaikan")
    await expect(flow.part(".waterfall")).to_contain_text("mati sebelum konfirmasi")
    await flow.press("[data-heal]")
    await expect(flow.part("[data-faults]")).to_have_text("Tidak ada gangguan yang dipasang.")
    await flow.all_is_right()


async def test_a_cancellation_is_a_trace_with_all_its_stages(flow: Flow) -> None:
    """It is seen moving, it is in the log and in the list, and its waterfall leads from the request to the commits."""
    await flow.cancel()
    await expect(flow.part(".dot").first).to_be_attached()
    await expect(flow.part("[data-log]")).to_contain_text("RefundIssued")
    await flow.trace("Uang kembali").locator("a").click()
    table = flow.part(".waterfall")
    for words in ("POST /orders/{order_id}/cancel", "OrderCancelRequested", "OrderCancelled", "RefundIssued"):
        await expect(table).to_contain_text(words)
    for stage in ("requested", "outbox", "exchange", "queue", "handler", "commit"):
        await expect(table.locator(f"rect.{stage}").first).to_be_attached()
    handled = table.locator("tr", has_text="OrderCancelled").filter(has_text="commit")
    await expect(handled).to_have_count(len(OrderCancelled.consumed_by))  # the trace may go on while the page shows it
    assert sorted(await handled.locator("td:first-child").all_inner_texts()) == sorted(OrderCancelled.consumed_by)
    await flow.all_is_right()


async def test_traces_survive_reload_and_restart(flow: Flow, site: Site) -> None:
    """After a reload, and after a restart of the whole system, the last traces are shown."""
    await flow.cancel()
    await flow.all_is_right()
    trace_id = await flow.trace("Uang kembali").locator("a").get_attribute("data-trace-id")
    await flow.page.reload()
    await expect(flow.part(f"[data-trace-id='{trace_id}']")).to_be_visible()

    async def kept() -> bool:
        database = site.system.services["web"].uow.database
        async with database.connection() as connection:
            return bool(await connection.fetchval("select true from stories where story = $1", trace_id))

    await eventually(kept)
    await site.stop()
    await site.start()
    await flow.page.reload()
    await expect(flow.part(f"[data-trace-id='{trace_id}']")).to_be_visible()
    await flow.page.goto(f"{site.url}/web/flow/stories/{trace_id}")
    await expect(flow.part(".waterfall")).to_contain_text("RefundIssued")


@pytest.mark.parametrize(
    ("switch", "service", "number"),
    [
        ("[data-broker]", "orders", "unpublished"),
        ("[data-service='refunds'] [data-switch='consuming']", "refunds", "waiting"),
    ],
    ids=["no broker", "paused consumer"],
)
async def test_a_cancellation_waits_for_the_broker_and_for_its_consumer(
    flow: Flow, switch: str, service: str, number: str
) -> None:
    """Without the broker the cancellation is accepted and its events wait in the outbox, with a paused consumer in its
    queue; switched back, the money comes, once."""
    await flow.turn(switch, on=True)
    await flow.cancel()
    await expect(flow.number(service, number)).not_to_have_text("0")
    await flow.something_is_missing()
    await flow.turn(switch, on=False)
    await flow.all_is_right()
    await expect(flow.number(service, number)).to_have_text("0")


async def test_what_was_parked_is_replayed_by_a_button(flow: Flow) -> None:
    """Handlers fail, the message is parked with its error, and counted in a badge that nothing covers; mended and
    replayed, the money comes back, once."""
    fail = "[data-service='refunds'] [data-switch='handling']"
    await flow.turn(fail, on=True)
    await flow.cancel()
    parked = flow.part("[data-parked] li").filter(has_text="orders.OrderCancelled")
    await expect(parked).to_contain_text("switched off, for demonstration")
    await flow.something_is_missing()
    await flow.turn(fail, on=False)
    await flow.shows_its_badge("refunds")
    await parked.get_by_role("button").click()
    await flow.all_is_right()
    await expect(flow.part("[data-parked]")).to_contain_text("Tidak ada.")


async def test_poison_is_parked_and_nothing_else_suffers(flow: Flow) -> None:
    """Every consumer parks a poison message, and handles the events behind it; a replay fails again."""
    await flow.press("[data-service='orders'] [data-poison]")
    poison = flow.page.locator("[data-parked] li").filter(has_text="Field required")
    await expect(poison).to_have_count(len(OrderCancelled.consumed_by))
    await flow.cancel()
    await flow.all_is_right()
    await poison.first.get_by_role("button").click()
    await expect(flow.part("[data-said]")).to_have_text("Diulang sebentar lagi.")
    await expect(poison).to_have_count(len(OrderCancelled.consumed_by))


async def test_dana_down_and_back(flow: Flow) -> None:
    """While DANA is down the page shows that the refund is late, and the deadline that ends this; when it is back, DANA
    pays once."""
    await flow.cancel("dana")
    await flow.all_is_right()
    await expect(flow.part("[data-amount='dana']")).to_have_text("Rp145.000")
    await flow.turn("[data-dana='down']", on=True)
    await expect(flow.part("[data-faults] li")).to_have_text("DANA: Matisampai diubah")
    wide = str(await flow.part("[data-picture]").get_attribute("viewBox"))
    await flow.page.set_viewport_size(PHONE["viewport"])
    await expect(flow.part("[data-picture]")).not_to_have_attribute("viewBox", wide)
    assert await flow.part("[data-node=dana].cut").count() == 1  # also when it is drawn anew
    await flow.cancel("dana")
    await expect(flow.trace("Uang tertunda")).to_be_visible()
    await expect(flow.part("[data-deadlines] li.own")).to_contain_text("Langkah berikut ke DANA")
    await flow.something_is_missing()
    await flow.turn("[data-dana='well']", on=True)
    await expect(flow.part("[data-faults]")).to_have_text("Tidak ada gangguan yang dipasang.")
    await flow.press("[data-advance='1']")
    await flow.all_is_right()
    await expect(flow.part("[data-amount='dana']")).to_have_text("Rp290.000")


async def test_the_clock_moves_for_everybody(flow: Flow, site: Site) -> None:
    """+24 hours are added at every service, and the page shows by how much time is ahead."""

    async def shifts() -> set[float]:
        found = set()
        for service in site.system.services.values():
            async with service.uow.database.connection() as connection:
                found.add(await connection.fetchval("select extract(epoch from shift)::float from clock"))
        return found

    (before,) = await shifts()
    await flow.press("[data-advance='24']")
    assert await shifts() == {before + 86_400}
    hours = round((before + 86_400) / 3600)
    await expect(flow.part("[data-clock]")).to_contain_text(f"lebih cepat {hours} jam")


async def test_the_page_listens_again_after_a_refusal(users: BrowserUsers) -> None:
    """A gateway that answers 502 while the pages are started anew does not silence the page for good."""
    person = await users.visitor("Penonton")
    await person.page.route("**/web/flow/live", lambda route: route.fulfill(status=502), times=1)
    await person.page.goto(f"{users.site.url}/web/flow")
    flow = Flow(person.page)
    await expect(flow.part("[data-offline]")).to_be_visible()
    await expect(flow.part("[data-log]")).to_contain_text("Belum ada yang terjadi.")
    await expect(flow.part("[data-offline]")).to_be_hidden()
    await flow.cancel()
    await expect(flow.part("[data-log]")).to_contain_text("RefundIssued")


async def test_figures_that_cannot_be_read_are_not_right(users: BrowserUsers) -> None:
    """While a service does not report its sums, the page shows none, and does not claim that they are right."""
    flow = await opened(users)
    verdict, way = flow.part("[data-verdict]"), flow.part("[data-amount='way']")
    await expect(way).not_to_have_text("–")
    for service, status in (("refunds", 503), ("orders", 200)):

        async def answer(route: Route, *, status: int = status) -> None:
            await route.fulfill(status=status, json={})

        await flow.page.route(f"**/{service}/demonstration/money", answer)
        await expect(verdict).to_have_text("Angkanya tidak dapat dibaca sekarang.")
        await expect(verdict).to_have_class("notice warn")
        await expect(way).to_have_text("–")
        await flow.page.unroute(f"**/{service}/demonstration/money")
        await expect(way).not_to_have_text("–")


async def test_what_a_silent_service_has_parked_is_not_known(users: BrowserUsers) -> None:
    """The list of parked messages is not empty because a service does not answer."""
    flow = await opened(users)
    await flow.page.route("**/chat/demonstration/state", lambda route: route.abort())
    await expect(flow.part("[data-parked]")).to_contain_text("Tidak diketahui sekarang: chat.")
    await expect(flow.part("[data-parked]")).not_to_contain_text("Tidak ada.")


async def test_the_log_is_sorted_and_shows_the_time_of_the_pages(users: BrowserUsers) -> None:
    """A late record is inserted in order; the times are the database's, moved by the demonstration, in WIB."""
    person = await users.visitor("Penonton", timezone_id="America/New_York")

    def frame(number: int, clock: int, *at: float) -> str:
        moves = [{"stage": "written", "service": "orders", "name": f"Event{n}", "at": n, "count": 1} for n in at]
        totals = {"records": 1, "lost": 0, "together": 0, "undrawn": 0}
        data = {"frame": number, "clock": clock, "moves": moves, "stories": [], "more_stories": 0, "totals": totals}
        return f"event: frame\ndata: {json.dumps(data)}\n\n"

    body = frame(1, 86_400, 3, 1) + frame(2, 86_400, 2.25) + frame(3, 172_800, 0.5)
    await person.page.route(
        "**/web/flow/live", lambda route: route.fulfill(content_type="text/event-stream", body=body), times=1
    )
    await person.page.goto(f"{users.site.url}/web/flow")
    lines = person.page.locator("[data-log] li", has_text="Event")
    await expect(lines).to_have_count(4)
    await expect(person.page.locator("[data-log]")).not_to_contain_text("Belum ada yang terjadi.")
    assert await lines.locator("time").all_inner_texts() == [
        "07.00.00.500",
        "07.00.03.000",
        "07.00.02.250",
        "07.00.01.000",
    ]
    assert await lines.locator("time").first.get_attribute("datetime") == "1970-01-03T00:00:00.500Z"


async def test_without_motion_nothing_moves(users: BrowserUsers) -> None:
    """With reduced motion, services light up instead of moving dots, and the log has the events."""
    flow = await opened(users, reduced_motion="reduce")
    await flow.cancel()
    await expect(flow.part("[data-log]")).to_contain_text("RefundIssued")
    assert await flow.part(".dot").count() == 0
    await expect(flow.part("[data-speed]")).to_contain_text("Tanpa gerak")


@pytest.mark.parametrize(("screen", "theme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
async def test_axe_finds_nothing_while_things_happen(users: BrowserUsers, screen: Any, theme: Any) -> None:
    """With a trace open, messages parked and events on their way, axe-core finds no accessibility problem."""
    flow = await opened(users, screen=screen, color_scheme=theme, bypass_csp=True)
    await flow.press("[data-service='orders'] [data-poison]")
    await expect(flow.part("[data-parked] button").first).to_be_visible()
    await flow.cancel()
    await expect(flow.part(".waterfall")).to_be_visible()
    assert await axe.violations(flow.page) == []
    assert not await scrolls_sideways(flow.page)
