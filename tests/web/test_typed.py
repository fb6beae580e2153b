"""A refused form keeps what was typed, and shows the error beside the field."""

import html
import re
from typing import Any

import httpx
import pytest

from tests.harness.web import Browser, Services, WebHarness
from tests.web.market import ID, open_market

BAD_PRICES = ["145.5", "1.23.456", "1,5", "145 500", "1e3", "-5", "٥", "Rp"]


@pytest.fixture(autouse=True)
def market(harness: WebHarness) -> None:
    """Every service has something to show."""
    open_market(harness, "text")


def refusal(field: str) -> dict[str, Any]:
    """How a service refuses a field of a body."""
    errors = [{"loc": ["body", field], "msg": "no", "type": "value_error"}]
    return {"code": "invalid_request", "detail": "no", "errors": errors}


def field(page: httpx.Response, name: str) -> str:
    """An input, and what stands beside it."""
    found = re.search(rf'<input[^>]* name="{name}".*?</div>', page.text, re.DOTALL)
    assert found
    return found[0]


@pytest.mark.parametrize(("typed", "price"), [("145500", 145_500), ("145.500", 145_500), (" Rp1.145.500 ", 1_145_500)])
async def test_a_price_is_read_as_it_is_written(browser: Browser, services: Services, typed: str, price: int) -> None:
    """A price is read plain or grouped, with `Rp` or without."""
    services.say("POST /orders/products", 201, product_id="p")
    await browser.sign_in("seller")
    answer = await browser.submit("s/a/products", title="Batik", price=typed, stock="1.500")
    assert answer.status_code == 303
    assert services.bodies("POST /orders/products") == [{"title": "Batik", "price": price, "stock": 1500}]


@pytest.mark.parametrize(
    ("name", "typed"), [*((name, typed) for name in ("price", "stock") for typed in BAD_PRICES), ("price", "900000000")]
)
async def test_a_refused_product_stays_as_it_was_typed(
    browser: Browser, services: Services, name: str, typed: str
) -> None:
    """Nothing is offered if a number cannot be read, or if orders refuses it and names the field; the form is open,
    with everything in it and what is wrong beside the field."""
    services.say("POST /orders/products", 422, **refusal("price"))
    form = {"title": "Batik <b>", "price": "145.500", "stock": "7"} | {name: typed}
    await browser.sign_in("seller")
    page = await browser.submit("s/a/products", **form)
    assert page.status_code == 422
    assert len(services.bodies("POST /orders/products")) == (typed not in BAD_PRICES)
    for key, value in form.items():
        assert f'value="{html.escape(value)}"' in field(page, key)
        assert ('aria-invalid="true"' in field(page, key)) is (key == name)
    assert 'class="wrong"' in field(page, name)
    assert re.search(r"<details[^>]* open>", page.text)


@pytest.mark.parametrize("typed", ["²", "9" * 5000, "many", "-1", "", "1.000", "1e1", "0", "101", "2.5", "٣"])
async def test_an_odd_quantity_stays_as_it_was_typed(browser: Browser, services: Services, typed: str) -> None:
    """Nothing is ordered; the product's form has what was typed, and what is wrong beside it."""
    await browser.sign_in()
    page = await browser.submit(f"s/a/products/{ID}", quantity=typed, payment_method="dana")
    assert page.status_code == 422
    assert services.bodies("POST /orders") == []
    assert f'value="{typed}"' in field(page, "quantity")
    assert 'class="wrong"' in field(page, "quantity")
    assert 'value="dana" checked' in page.text


@pytest.mark.parametrize(
    ("status", "problem", "words"),
    [
        (422, refusal("phone"), "nomor ponsel Indonesia"),
        (422, {"code": "dana_account_not_found"}, "DANA tidak mengenal"),
        (429, {"code": "rate_limited"}, "Terlalu banyak percobaan"),
        (503, {"code": "dana_unreachable"}, "DANA sedang tidak bisa dihubungi"),
    ],
)
async def test_a_refused_phone_number_stays(
    browser: Browser, services: Services, status: int, problem: dict[str, Any], words: str
) -> None:
    """The number goes to refunds as it was typed, and stays in the form with what is wrong beside it."""
    typed = "\u202a+62 (0)812\N{NO-BREAK SPACE}3456-789\u202c"
    services.say("PUT /refunds/wallet/dana", status, **problem)
    await browser.sign_in()
    page = await browser.submit("s/a/wallet/dana", phone=typed)
    assert page.status_code == 422
    assert services.bodies("PUT /refunds/wallet/dana") == [{"phone": typed}]
    assert f'value="{typed}"' in field(page, "phone")
    assert words in field(page, "phone")
    assert (await browser.get(page.request.url)).status_code == 200  # the script fetches the page again


async def test_a_voucher_goes_with_the_order(browser: Browser, services: Services) -> None:
    """The typed code is sent, if there is one."""
    services.say("POST /orders", 201, order_id="o")
    await browser.sign_in()
    for typed in (" HEMAT10 ", " "):
        await browser.submit(f"s/a/products/{ID}", quantity="1", payment_method="dana", voucher=typed)
    plain = {"lines": [{"product_id": ID, "quantity": 1}], "payment_method": "dana"}
    assert services.bodies("POST /orders") == [plain | {"voucher": "HEMAT10"}, plain]


@pytest.mark.parametrize(("status", "problem"), [(409, {"code": "voucher_not_usable"}), (422, refusal("voucher"))])
async def test_an_unusable_voucher_stays_as_it_was_typed(
    browser: Browser, services: Services, status: int, problem: dict[str, Any]
) -> None:
    """The product's form has everything in it, with what is wrong beside the code."""
    services.say("POST /orders", status, **problem)
    await browser.sign_in()
    form = {"quantity": "3", "payment_method": "cod", "voucher": "HEMAT <b>"}
    page = await browser.submit(f"s/a/products/{ID}", **form)
    assert page.status_code == 422
    assert 'value="3"' in field(page, "quantity")
    assert 'value="cod" checked' in page.text
    assert re.search('value="HEMAT &lt;b&gt;"[^>]*aria-invalid="true".*Voucher ini tidak bisa', page.text, re.DOTALL)


async def test_an_order_that_is_refused_stays_as_it_was_typed(browser: Browser, services: Services) -> None:
    """The product's form has everything in it, and says why."""
    services.say("POST /orders", 409, code="out_of_stock")
    await browser.sign_in()
    page = await browser.submit(f"s/a/products/{ID}", quantity="3", payment_method="cod", voucher="HEMAT")
    assert page.status_code == 409
    assert "Stoknya tidak cukup." in page.text
    assert 'value="3"' in field(page, "quantity")
    assert 'value="HEMAT"' in field(page, "voucher")
    assert 'value="cod" checked' in page.text


async def test_a_question_that_is_refused_stays_as_it_was_typed(browser: Browser, services: Services) -> None:
    """What was written to customer service is in the form again, with the reason."""
    services.say("GET /cs/cases", items=[], next=None)
    services.say("POST /cs/cases", 429, code="rate_limited")
    await browser.sign_in()
    page = await browser.submit("s/a/help", key="k", text="Uang saya <b>?")
    assert page.status_code == 409
    assert "Terlalu banyak percobaan" in page.text
    assert "Uang saya &lt;b&gt;?</textarea>" in page.text


async def test_a_search_asks_for_what_is_wished(browser: Browser, services: Services) -> None:
    """The filters go to orders and stay in the form; a price that is not offered is no filter, and a title that no
    product can have finds none."""
    await browser.sign_in()
    page = await browser.show("?title=+Kopi+&max_price=150000&in_stock=1")
    (asked,) = [one for one in services.asked if one.url.path == "/orders/products"]
    assert dict(asked.url.params) == {"limit": "60", "title": "Kopi", "max_price": "150000", "in_stock": "true"}
    assert 'value="Kopi"' in field(page, "title")
    services.say("GET /orders/products", 422, **refusal("title"))
    nothing = await browser.show("?title=%00&max_price=7")
    assert nothing.status_code == 200
    assert "max_price" not in services.asked[-1].url.params
    assert "Tidak ada produk yang cocok." in nothing.text


VOUCHER = {"code": " HEMAT ", "kind": "amount", "amount": "Rp25.000", "percent": "10", "cap": "", "minimum": ""}


@pytest.mark.parametrize(
    ("kind", "body"),
    [("amount", {"amount": 25_000}), ("percent", {"percent": 10, "cap": 20_000})],
)
async def test_a_voucher_is_of_an_amount_or_a_percentage(
    browser: Browser, services: Services, kind: str, body: dict[str, Any]
) -> None:
    """Only what belongs to the chosen kind is read and sent; without a minimum it is 0."""
    services.say("POST /orders/vouchers", 201)
    await browser.sign_in("seller")
    answer = await browser.submit("s/a/vouchers", **VOUCHER | {"kind": kind, "cap": "20.000", "uses": "1.000"})
    assert answer.status_code == 303
    assert services.bodies("POST /orders/vouchers") == [{"code": "HEMAT", "minimum": 0, "uses": 1000, **body}]


@pytest.mark.parametrize(
    ("name", "typed", "status", "problem", "words"),
    [
        ("amount", "many", 201, {}, "rupiah bulat"),
        ("uses", "x", 201, {}, "paling sedikit 1"),
        ("minimum", "-1", 201, {}, "rupiah bulat"),
        ("code", "A B", 422, refusal("code"), "tanpa spasi"),
        ("code", "HEMAT", 409, {"code": "voucher_exists"}, "sudah punya voucher"),
    ],
)
async def test_a_refused_voucher_stays_as_it_was_typed(
    browser: Browser, services: Services, name: str, typed: str, status: int, problem: dict[str, Any], words: str
) -> None:
    """The form is open, with everything in it and what is wrong beside the field."""
    services.say("POST /orders/vouchers", status, **problem)
    form = VOUCHER | {"uses": "7", name: typed}
    await browser.sign_in("seller")
    page = await browser.submit("s/a/vouchers", **form)
    assert page.status_code == 422
    assert re.search(r"<details[^>]* open>", page.text)
    assert words in field(page, name)
    for key in form.keys() - {"kind"}:
        assert f'value="{form[key]}"' in field(page, key)


async def test_a_seller_sees_what_is_left_of_a_voucher(browser: Browser) -> None:
    """The list shows the discount, the minimum and the uses that are left."""
    await browser.sign_in("seller")
    page = (await browser.show("vouchers")).text
    assert all(words in page for words in ("10%, paling banyak Rp5.000", "Rp50.000", "Tersisa 7 dari 9"))
