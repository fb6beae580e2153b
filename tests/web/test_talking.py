"""Conversations, and what is offered in them."""

import re
from typing import Any

import httpx
import pytest

from tests.harness.web import Browser, WebHarness
from tests.web.market import AT, ID, case, enter, message, open_market, order, thread


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


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({}, True),
        ({"status": "packed", "history": [{"status": "packed", "at": "2026-11-24T11:00:00Z"}]}, True),
        ({"status": "packed", "history": [{"status": "packed", "at": "2026-11-24T13:00:00Z"}]}, False),
        ({"status": "shipped"}, False),
        ({"status": "cancelled"}, False),
    ],
    ids=["processing", "packed before", "packed since", "shipped", "cancelled"],
)
async def test_a_demand_shows_until_the_seller_reacts(
    harness: WebHarness, browser: Browser, change: dict[str, Any], shown: bool
) -> None:
    """The start page, the inbox and the conversation show the demand with the seller's answers, unless the order was
    packed since the question, or cannot be cancelled any more; with two hours left it is amber."""
    harness.services.say(f"GET /orders/{ID}", **order("text", **change))
    await enter(harness, browser, "seller")
    for path in ("", "chat", f"chat/{ID}"):
        page = (await browser.show(path)).text
        assert ('class="card demand due soon"' in page) is shown, path
        assert ('#answer"' in page) is shown, path


async def test_a_late_demand_or_none_shows_no_card(harness: WebHarness, browser: Browser) -> None:
    """When the 24 hours are over, when an earlier chat knows no demands, and when the chat is away."""
    await enter(harness, browser, "seller")
    harness.services.say("GET /orders/clock", now="2026-11-25T12:00:01Z")
    assert "demand due" not in (await browser.show("")).text
    old = thread("text")
    del old["demand"]
    harness.services.say("GET /orders/clock", now=AT)
    harness.services.say("GET /chat/threads", items=[old], next=None)
    assert "demand due" not in (await browser.show("")).text
    harness.services.answers["GET /chat/threads"] = httpx.Response(503)
    assert (await browser.show("")).status_code == 200


async def test_the_desk_shows_who_waits(harness: WebHarness, browser: Browser) -> None:
    """The desk opens the case that has waited longest, and shows of each case its last text and how long it waits."""
    other = "01a214c5-b79e-7352-95a9-c56f6d9b795f"
    longer = case("Budi", case_id=other, waits_since="2026-11-25T09:46:30Z")
    harness.services.say("GET /cs/cases", items=[case("Siti"), longer], next=None)
    harness.services.say(f"GET /cs/cases/{other}/messages", items=[message("Halo")], next=None)
    await browser.sign_in("agent")
    page = (await browser.show("")).text
    assert f'data-key="{other}"' in page
    assert "Menunggu 13 menit" in page
    assert "Baru saja" in page


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


@pytest.mark.parametrize(
    ("code", "language", "words"),
    [
        ("case_over", "id", "Percakapan ini sudah selesai."),
        ("not_your_case", "en", "This case is with another agent."),
        ("of_a_later_version", "en", "This request could not be carried out."),
    ],
)
async def test_a_script_reads_why_a_message_was_refused(
    harness: WebHarness, browser: Browser, code: str, language: str, words: str
) -> None:
    """In the reader's language, as plain text; what the pages have no words for, too."""
    harness.services.say(f"POST /cs/cases/{ID}/messages", 409, code=code)
    await enter(harness, browser, "agent")
    headers = {"Accept": "application/json", "Accept-Language": language}
    answer = await browser.submit(f"s/a/cases/{ID}/say", headers, text="Halo")
    assert (answer.status_code, answer.text) == (409, words)
    assert answer.headers["content-type"].startswith("text/plain")
