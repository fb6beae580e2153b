"""Parts of orders: what pages show of them, and how they are cancelled."""

from typing import Any

import pytest

from tests.harness.web import Browser, Services, WebHarness
from tests.web.market import AT, GONE, ID, cancelled, enter, open_market, order, partly

TAKE = f"take-{ID}"
LINES = [{"product_id": ID, "quantity": 2}]
OLD = ("shipping_fee", "discount", "voucher", "refunded_amount", "cancellations", "refunds", "pay_by", "ship_by")
"""What an order of an earlier version has not."""


@pytest.fixture(autouse=True)
def market(harness: WebHarness) -> None:
    """Every service has something to show."""
    open_market(harness, "Kopi")


def dialog(page: str) -> str:
    """The cancel dialog."""
    return page.partition("<dialog")[2].partition("</dialog>")[0]


@pytest.mark.parametrize("role", ["buyer", "seller"])
async def test_an_order_shows_its_parts_and_sums(harness: WebHarness, browser: Browser, role: str) -> None:
    """Cancelled pieces, the cancellation with its refund, and what was paid and came back stand on the order's page."""
    await enter(harness, browser, role)
    page = (await browser.show(f"orders/{ID}")).text
    part = ("Sebagian dibatalkan", "1 dari 3 dibatalkan", "1 × <bdi>Kopi</bdi>", "oleh pembeli lewat aplikasi")
    refund = ("Rp45.000 sudah kembali sepenuhnya ke DANA", "Pengembalian uang")
    sums = ("Ongkos kirim", "Rp10.000", "Potongan voucher <bdi>Kopi</bdi>", "−Rp15.000", "Rp135.000")
    assert [words for words in (*part, *refund, *sums) if words not in page] == []


async def test_the_list_marks_an_order_of_which_a_part_is_cancelled(harness: WebHarness, browser: Browser) -> None:
    """One of the three orders is marked; the order that is cancelled as a whole is not."""
    await enter(harness, browser, "buyer")
    assert (await browser.show("orders")).text.count("Sebagian dibatalkan") == 1


@pytest.mark.parametrize("refund", [None, {"state": "sending", "amount": 100_000, "destination": "dana"}])
async def test_an_order_that_ended_in_parts_shows_each(
    harness: WebHarness, browser: Browser, refund: dict[str, Any] | None
) -> None:
    """The part and the rest have an entry each, and what the rest brings back is less than what was paid."""
    known = partly("Kopi") | {"status": "cancelled", "refund": refund, "refunded_amount": 145_000}
    known["cancellation"] = cancelled("Kopi")["cancellation"]
    rest = {"cancellation_id": GONE, "channel": "cs", "lines": None, "refund_amount": 100_000, "at": AT}
    known["cancellations"].append(rest | {"reason": None, "note": None, "fault": "seller"})
    harness.services.say(f"GET /orders/{ID}", **known)
    await enter(harness, browser, "buyer")
    page = (await browser.show(f"orders/{ID}")).text
    expected = (
        "1 × <bdi>Kopi</bdi>",
        "Semua yang tersisa",
        "oleh layanan pelanggan",
        "Rp100.000 sedang di",
        "Rp45.000 sudah kembali",
    )
    assert [words for words in expected if words not in page] == []
    assert "Sebagian dibatalkan" not in page
    assert 'data-every="1"' in page


@pytest.mark.parametrize("status", ["processing", "cancelled"])
async def test_an_order_of_an_earlier_version_is_shown(harness: WebHarness, browser: Browser, status: str) -> None:
    """Without the new fields an order is a page all the same, with what it paid and got back."""
    newer = cancelled("Kopi") if status == "cancelled" else order("Kopi")
    known = {key: value for key, value in newer.items() if key not in OLD}
    known["lines"] = [{"product_id": ID, "title": "Kopi", "quantity": 2, "unit_price": 72_500}]
    harness.services.say(f"GET /orders/{ID}", **known)
    harness.services.say("GET /orders", items=[known], next=None)
    await enter(harness, browser, "buyer")
    page, orders = await browser.show(f"orders/{ID}"), await browser.show("orders")
    assert (page.status_code, orders.status_code) == (200, 200)
    assert ("Rp145.000 sedang dikembalikan" in page.text) is (status == "cancelled")


async def test_a_tracker_names_the_wallet(harness: WebHarness, browser: Browser) -> None:
    """Refunds is asked for the order's own refunds; it knows the wallet's number, and a refund before orders does."""
    sent = {"cancellation_id": GONE, "order_id": GONE, "amount": 145_000, "attempts": 1}
    sent |= {"state": "sending", "destination": "dana", "phone": "+62•••••7890"}
    gone = cancelled("Kopi") | {"order_id": GONE, "refunded_amount": 145_000}
    harness.services.say(f"GET /orders/{GONE}", **gone)
    harness.services.say("GET /refunds", items=[sent], next=None)
    await enter(harness, browser, "buyer")
    page = (await browser.show(f"orders/{GONE}")).text
    (asked,) = [one for one in harness.services.asked if one.url.path == "/refunds"]
    assert asked.url.params["order_id"] == GONE
    assert 'aria-current="step">Dikirim ke DANA <span class="number">•••7890</span></li>' in page


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "Rp45.000 kembali per buah"),
        ({"net": 135_001}, "harga setelah potongan kembali"),
        ({"paid_amount": 0, "refunded_amount": 0, "payment_method": "cod"}, "tidak ada uang yang perlu kembali"),
    ],
)
async def test_the_dialog_promises_what_is_known(
    harness: WebHarness, browser: Browser, more: dict[str, Any], words: str
) -> None:
    """All that is left brings what was paid and is not refunded; a piece its net price, if each has the same."""
    known = partly("Kopi", **more)
    known["lines"][0]["net"] = more.get("net", 135_000)
    harness.services.say(f"GET /orders/{ID}", **known)
    await enter(harness, browser, "buyer")
    page = dialog((await browser.show(f"orders/{ID}/cancel")).text)
    assert words in page
    assert ("Rp100.000 dikembalikan sepenuhnya" in page) is bool(known["paid_amount"])
    assert ("kembali per buah" in page) is (more == {})


@pytest.mark.parametrize(("more", "offered"), [({}, True), ({"status": "unpaid"}, False), ({"cancelled": 2}, False)])
async def test_a_choice_is_offered_where_there_is_one(
    harness: WebHarness, browser: Browser, more: dict[str, Any], offered: bool
) -> None:
    """An unpaid order, and one with a single piece left, are cancelled as a whole."""
    known = partly("Kopi", **more)
    known["lines"][0]["cancelled"] = more.get("cancelled", 1)
    harness.services.say(f"GET /orders/{ID}", **known)
    await enter(harness, browser, "buyer")
    assert (TAKE in (await browser.show(f"orders/{ID}/cancel")).text) is offered


@pytest.mark.parametrize(
    ("form", "body", "key"),
    [
        ({"what": "all", TAKE: "1"}, b"", None),
        ({}, b"", None),
        ({"what": "part", TAKE: " 2 ", "take-x": ""}, {"lines": LINES}, "k"),
        ({"what": "part", TAKE: "2", "reason": "other", "note": " "}, {"reason": "other", "lines": LINES}, "k"),
        ({"what": "part", TAKE: "2", "reason": ""}, {"lines": LINES}, "k"),
    ],
)
async def test_the_buyer_cancels_what_is_chosen(
    browser: Browser, services: Services, form: dict[str, str], body: Any, key: str | None
) -> None:
    """All that is left is cancelled without lines; some pieces with them, under the form's key."""
    services.say(f"POST /orders/{ID}/cancel", **partly("Kopi", status="processing" if key else "cancelled"))
    await browser.sign_in()
    answer = await browser.submit(f"s/a/orders/{ID}/cancel", key="k", **form)
    (asked,) = [one for one in services.asked if one.url.path.endswith("/cancel")]
    assert answer.status_code == 303
    assert (services.bodies(f"POST /orders/{ID}/cancel") == [body]) if body else (asked.content == b"")
    assert asked.headers.get("Idempotency-Key") == key
    page = (await browser.get(answer.headers["location"])).text
    assert ("Sebagian pesanan dibatalkan." if key else "Pesanan dibatalkan.") in page


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        *((typed, "", "paling sedikit satu") for typed in ("0", "", "-1", "1.5", "²")),
        ("3", "not_enough_left", "Yang tersisa tidak sebanyak itu."),
        ("1", "below_voucher_minimum", "di bawah belanja minimum voucher"),
        ("1", "wrong_state", "tidak bisa dilakukan pada status ini"),
    ],
)
async def test_a_refused_choice_stays_as_it_was_made(
    browser: Browser, services: Services, typed: str, code: str, words: str
) -> None:
    """The dialog is open, with what was typed and what is wrong."""
    services.say(f"POST /orders/{ID}/cancel", 409, code=code)
    await browser.sign_in()
    form = {"what": "part", TAKE: typed, "reason": "other", "note": "Salah <b>"}
    page = await browser.submit(f"s/a/orders/{ID}/cancel", key="k", **form)
    assert page.status_code == 409
    assert len(services.bodies(f"POST /orders/{ID}/cancel")) == bool(code)
    shown = dialog(page.text)
    assert "data-open" in shown
    assert words in shown
    assert 'value="part" checked' in shown
    assert 'value="other" checked' in shown
    assert "Salah &lt;b&gt;</textarea>" in shown
    assert not code or f'value="{typed}"' in shown


@pytest.mark.parametrize(
    ("form", "body", "key"),
    [
        ({"what": "all", "reason": "Habis"}, {"reason": "Habis"}, None),
        ({"what": "part", TAKE: "2"}, {"lines": LINES}, "k"),
        ({"what": "part", TAKE: "0", "reason": "Habis"}, None, None),
    ],
)
async def test_the_seller_cancels_what_is_chosen(
    harness: WebHarness, browser: Browser, form: dict[str, str], body: Any, key: str | None
) -> None:
    """The conversation's dialog offers the pieces; a part is requested under the form's key."""
    path = f"chat/threads/{ID}/cancel"
    harness.services.say(f"POST /{path}", 202, cancellation_id=ID)
    await enter(harness, browser, "seller")
    assert TAKE in dialog((await browser.show(f"chat/{ID}")).text)
    answer = await browser.submit(f"s/a/chat/{ID}/cancel", key="k", **form)
    asked = [one for one in harness.services.asked if one.url.path == f"/{path}"]
    assert harness.services.bodies(f"POST /{path}") == ([body] if body else [])
    assert [one.headers.get("Idempotency-Key") for one in asked] == [key] * bool(body)
    if body:
        assert "Pembatalan diminta" in (await browser.get(answer.headers["location"])).text
    else:
        assert (answer.status_code, "paling sedikit satu" in dialog(answer.text)) == (409, True)
        assert 'value="Habis"' in dialog(answer.text)


@pytest.mark.parametrize(("role", "words"), [("buyer", "mengirim paling lambat"), ("seller", "skor Anda turun")])
async def test_an_order_says_until_when_it_ships(harness: WebHarness, browser: Browser, role: str, words: str) -> None:
    """The last time to ship stands on the order's page, if orders names it."""
    await enter(harness, browser, role)
    assert words not in (await browser.show(f"orders/{ID}")).text
    harness.services.say(f"GET /orders/{ID}", **partly("Kopi", ship_by="2026-11-28T10:00:00Z"))
    page = (await browser.show(f"orders/{ID}")).text
    assert words in page
    assert "28 November 2026 pukul 17.00 WIB" in page


async def test_a_score_is_worked_out_from_pieces(harness: WebHarness, browser: Browser) -> None:
    """The page shows the pieces that were cancelled, of how many, the arithmetic, and the size of one more order."""
    await enter(harness, browser, "seller")
    page = (await browser.show("score")).text
    assert "2 / 27 = 7,4%" in page
    assert "5,0 − 0,1 × 8 persen (dibulatkan ke atas) = 4,2" in page
    assert "sebesar rata-rata (3 buah) dibatalkan: 4,2" in page
