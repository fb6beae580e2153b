"""Conversations, and what is offered in them."""

import re
from typing import Any

import pytest

from tests.harness.web import WebHarness
from tests.web.market import ID, enter, message, open_market, order, thread


def named(page: str) -> list[Any]:
    """The days that stand between the messages, and the numbers of the messages, in their order."""
    return re.findall(r'<li class="day" data-day="([^"]*)"|data-seq="(\d+)"', page)


@pytest.mark.parametrize(("language", "month"), [("id", "Mei"), ("en", "May")])
@pytest.mark.parametrize(
    ("role", "path"), [("buyer", f"/chat/{ID}"), ("buyer", f"/help/{ID}"), ("agent", f"/cases/{ID}")]
)
async def test_messages_stand_under_their_days(
    harness: WebHarness, role: str, path: str, language: str, month: str
) -> None:
    """Before the first message of each day stands the day, in the reader's language and in Indonesia's time; also in
    the part that a script fetches."""
    open_market(harness, "text")
    times = ["2026-05-24T10:00:00Z", "2026-05-24T16:59:00Z", "2026-05-24T17:01:00Z", "2026-05-26T10:00:00Z"]
    messages = [message("Halo", seq=seq, at=at) for seq, at in enumerate(times, 1)]
    for service in ("/chat/threads", "/cs/cases"):
        harness.services.say(f"GET {service}/{ID}/messages", items=messages, next=None)
    async with harness.browser() as browser:
        await enter(harness, browser, role)
        for part in ("", "/messages"):
            page = (await browser.get(f"/web/s/a{path}{part}", headers={"Accept-Language": language})).text
            days = [f"{day} {month} 2026" for day in (24, 25, 26)]
            assert named(page) == [
                *((days[0], ""), ("", "1"), ("", "2"), (days[1], ""), ("", "3"), (days[2], ""), ("", "4"))
            ]


async def test_an_old_conversation_has_its_day_in_the_list(harness: WebHarness) -> None:
    """The list of conversations shows the time of a message of today, else its day."""
    open_market(harness, "text")
    items = [thread("text", active_at="2026-11-25T09:00:00Z"), thread("text", active_at="2026-11-23T09:00:00Z")]
    harness.services.say("GET /chat/threads", items=items, next=None)
    async with harness.browser() as browser:
        await enter(harness, browser, "buyer")
        page = (await browser.get("/web/s/a/chat")).text
    assert ">16.00<" in page
    assert ">23 November 2026<" in page


@pytest.mark.parametrize(("role", "words"), [("buyer", "Tulis ke penjual mengapa"), ("seller", "Belum ada pesan dari")])
async def test_a_new_conversation_says_what_to_do(harness: WebHarness, role: str, words: str) -> None:
    """An empty conversation shows a hint."""
    open_market(harness, "text")
    harness.services.say(f"GET /chat/threads/{ID}/messages", items=[], next=None)
    async with harness.browser() as browser:
        await enter(harness, browser, role)
        assert words in (await browser.get(f"/web/s/a/chat/{ID}")).text


@pytest.mark.parametrize("part", ["", "/messages"])
async def test_a_guide_links_to_the_cancellation(harness: WebHarness, part: str) -> None:
    """The card's button is there as long as the buyer may cancel, and not once the order is cancelled, has shipped or
    is too old."""
    open_market(harness, "text")
    there = f'href="/web/s/a/orders/{ID}/cancel"'
    async with harness.browser() as browser:
        await enter(harness, browser, "buyer")
        assert there in (await browser.get(f"/web/s/a/chat/{ID}{part}")).text
        way = order("text")["cancellation"]
        harness.services.say(f"GET /orders/{ID}", **order("text", cancellation={**way, "allowed": False}))
        page = (await browser.get(f"/web/s/a/chat/{ID}{part}")).text
    assert there not in page
    assert "tidak bisa dibatalkan di sini lagi" in page


@pytest.mark.parametrize(
    ("linked", "answer", "words"),
    [
        (True, 200, "dikembalikan sepenuhnya ke DANA."),
        (False, 200, "dikembalikan sepenuhnya ke Lazada Kredit."),
        (False, 503, "dikembalikan sepenuhnya ke Lazada Kredit, atau DANA bila terhubung."),
    ],
)
async def test_the_dialog_names_where_the_money_goes(
    harness: WebHarness, linked: bool, answer: int, words: str
) -> None:
    """To DANA if it is linked, else to Lazada Credit; the time that is left ends when the order ships."""
    open_market(harness, "text")
    dana = {"linked": linked, "phone": "+62•••••7890" if linked else None}
    harness.services.say("GET /refunds/wallet", answer, credit_balance=0, dana=dana, entries=[])
    async with harness.browser() as browser:
        await enter(harness, browser, "buyer")
        page = (await browser.get(f"/web/s/a/orders/{ID}/cancel")).text
    dialog = page.partition("<dialog")[2]
    assert words in dialog
    assert "selama belum dikirim" in dialog
