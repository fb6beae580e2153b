"""Conversations, and what is offered in them."""

import re
from typing import Any

import pytest

from tests.harness.web import Browser, WebHarness
from tests.web.market import ID, enter, message, open_market, order, thread


@pytest.fixture(autouse=True)
def market(harness: WebHarness) -> None:
    """Every service has something to show."""
    open_market(harness, "text")


def named(page: str) -> list[Any]:
    """The days that stand between the messages, and the numbers of the messages, in their order."""
    return re.findall(r'<li class="day" data-day="([^"]*)"|data-seq="(\d+)"', page)


@pytest.mark.parametrize(("language", "month"), [("id", "Mei"), ("en", "May")])
@pytest.mark.parametrize(("role", "path"), [("buyer", f"chat/{ID}"), ("buyer", f"help/{ID}"), ("agent", f"cases/{ID}")])
async def test_messages_stand_under_their_days(
    harness: WebHarness, browser: Browser, role: str, path: str, language: str, month: str
) -> None:
    """Before the first message of each day stands the day, in the reader's language and in Indonesia's time; also in
    the part that a script fetches."""
    times = ["2026-05-24T10:00:00Z", "2026-05-24T16:59:00Z", "2026-05-24T17:01:00Z", "2026-05-26T10:00:00Z"]
    messages = [message("Halo", seq=seq, at=at) for seq, at in enumerate(times, 1)]
    for service in ("chat/threads", "cs/cases"):
        harness.services.say(f"GET /{service}/{ID}/messages", items=messages, next=None)
    await enter(harness, browser, role)
    first, second, third = [(f"{day} {month} 2026", "") for day in (24, 25, 26)]
    for part in ("", "/messages"):
        page = (await browser.show(path + part, **{"Accept-Language": language})).text
        assert named(page) == [first, ("", "1"), ("", "2"), second, ("", "3"), third, ("", "4")]


async def test_an_old_conversation_has_its_day_in_the_list(harness: WebHarness, browser: Browser) -> None:
    """The list of conversations shows the time of a message of today, else its day."""
    items = [thread("text", active_at="2026-11-25T09:00:00Z"), thread("text", active_at="2026-11-23T09:00:00Z")]
    harness.services.say("GET /chat/threads", items=items, next=None)
    await enter(harness, browser, "buyer")
    page = (await browser.show("chat")).text
    assert ">16.00<" in page
    assert ">23 November 2026<" in page


@pytest.mark.parametrize(("role", "words"), [("buyer", "Tulis ke penjual mengapa"), ("seller", "Belum ada pesan dari")])
async def test_a_new_conversation_says_what_to_do(harness: WebHarness, browser: Browser, role: str, words: str) -> None:
    """An empty conversation shows a hint."""
    harness.services.say(f"GET /chat/threads/{ID}/messages", items=[], next=None)
    await enter(harness, browser, role)
    assert words in (await browser.show(f"chat/{ID}")).text


@pytest.mark.parametrize("part", ["", "/messages"])
async def test_a_guide_links_to_the_cancellation(harness: WebHarness, browser: Browser, part: str) -> None:
    """The card's button is there as long as the buyer may cancel, and not once the order is cancelled, has shipped or
    is too old."""
    there = f'href="/web/s/a/orders/{ID}/cancel"'
    await enter(harness, browser, "buyer")
    assert there in (await browser.show(f"chat/{ID}{part}")).text
    way = order("text")["cancellation"]
    harness.services.say(f"GET /orders/{ID}", **order("text", cancellation={**way, "allowed": False}))
    page = (await browser.show(f"chat/{ID}{part}")).text
    assert there not in page
    assert "tidak bisa dibatalkan di sini lagi" in page


@pytest.mark.parametrize(
    ("linked", "answer", "words"),
    [
        (True, 200, 'dikembalikan sepenuhnya ke DANA <span class="number">•••7890</span>.'),
        (False, 200, "dikembalikan sepenuhnya ke Lazada Kredit."),
        (False, 503, "dikembalikan sepenuhnya ke Lazada Kredit, atau DANA bila terhubung."),
    ],
)
async def test_the_dialog_names_where_the_money_goes(
    harness: WebHarness, browser: Browser, linked: bool, answer: int, words: str
) -> None:
    """To DANA if it is linked, else to Lazada Credit; the time that is left ends when the order ships."""
    dana = {"linked": linked, "phone": "+62•••••7890" if linked else None}
    harness.services.say("GET /refunds/wallet", answer, credit_balance=0, dana=dana, entries=[])
    await enter(harness, browser, "buyer")
    dialog = (await browser.show(f"orders/{ID}/cancel")).text.partition("<dialog")[2]
    assert words in dialog
    assert "selama belum dikirim" in dialog
