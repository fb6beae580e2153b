"""A refused form keeps what was typed, and shows the error beside the field."""

import json
import re
from typing import Any

import httpx
import pytest

from tests.harness.web import ORIGIN, WebHarness, form_token

BAD_PRICES = ["145.5", "1.23.456", "1,5", "145 500", "1e3", "-5", "٥", "Rp"]


def refusal(*fields: str) -> dict[str, Any]:
    """How a service refuses some fields of a body."""
    errors = [{"loc": ["body", field], "msg": "no", "type": "value_error"} for field in fields]
    return {"code": "invalid_request", "detail": "no", "errors": errors}


async def post(harness: WebHarness, browser: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    """Sends a form of ours."""
    form["form"] = await form_token(browser)
    return await browser.post(f"/web/s/a{path}", data=form, headers={"Origin": ORIGIN})


def asked(harness: WebHarness, request: str) -> list[Any]:
    """The bodies that a service got."""
    requests = [one for one in harness.services.asked if f"{one.method} {one.url.path}" == request]
    return [json.loads(one.content) for one in requests]


def field(page: httpx.Response, name: str) -> str:
    """An input, and what stands beside it."""
    found = re.search(rf'<input[^>]* name="{name}".*?</div>', page.text, re.DOTALL)
    assert found
    return found[0]


@pytest.mark.parametrize(("typed", "price"), [("145500", 145_500), ("145.500", 145_500), (" Rp1.145.500 ", 1_145_500)])
async def test_a_price_is_read_as_it_is_written(harness: WebHarness, typed: str, price: int) -> None:
    """Plain or grouped, with `Rp` or without."""
    harness.services.say("POST /orders/products", 201, product_id="p")
    async with harness.browser() as browser:
        await harness.sign_in(browser, "seller")
        answer = await post(harness, browser, "/products", title="Batik", price=typed, stock="1.500")
    assert answer.status_code == 303
    assert asked(harness, "POST /orders/products") == [{"title": "Batik", "price": price, "stock": 1500}]


@pytest.mark.parametrize("typed", BAD_PRICES)
@pytest.mark.parametrize("name", ["price", "stock"])
async def test_what_is_no_number_stays_as_it_was_typed(harness: WebHarness, name: str, typed: str) -> None:
    """Nothing is offered; the form is open, with everything in it and what is wrong beside the field."""
    harness.services.say("GET /orders/products", items=[], next=None)
    form = {"title": "Batik <b>", "price": "145.500", "stock": "7"} | {name: typed}
    async with harness.browser() as browser:
        await harness.sign_in(browser, "seller")
        page = await post(harness, browser, "/products", **form)
    assert page.status_code == 422
    assert asked(harness, "POST /orders/products") == []
    for key, value in form.items():
        assert f'value="{value.replace("<", "&lt;").replace(">", "&gt;")}"' in field(page, key)
        assert ('aria-invalid="true"' in field(page, key)) is (key == name)
    assert 'class="wrong"' in field(page, name)
    assert re.search(r"<details[^>]* open>", page.text)


async def test_what_the_service_refuses_stays_too(harness: WebHarness) -> None:
    """A price out of range is refused by orders, which names the field."""
    harness.services.say("GET /orders/products", items=[], next=None)
    harness.services.say("POST /orders/products", 422, **refusal("price"))
    async with harness.browser() as browser:
        await harness.sign_in(browser, "seller")
        page = await post(harness, browser, "/products", title="Batik", price="900.000.000", stock="7")
    assert page.status_code == 422
    assert 'value="900.000.000"' in field(page, "price")
    assert 'class="wrong"' in field(page, "price")


@pytest.mark.parametrize("typed", ["²", "9" * 5000, "many", "-1", "", "1.000", "1e1", "0", "101", "2.5", "٣"])
async def test_an_odd_quantity_stays_beside_its_product(harness: WebHarness, typed: str) -> None:
    """Nothing is ordered; the product's form is open, with what was typed."""
    products = [
        {"product_id": name, "seller_id": "s", "title": name, "price": 1, "stock": 200} for name in ("first", "second")
    ]
    harness.services.say("GET /orders/products", items=products, next=None)
    async with harness.browser() as browser:
        await harness.sign_in(browser)
        page = await post(harness, browser, "/buy", product_id="second", quantity=typed, payment_method="dana")
    assert page.status_code == 422
    assert asked(harness, "POST /orders") == []
    _, first, second = page.text.split('class="card product"')
    assert f'value="{typed}"' in second
    assert 'class="wrong"' in second
    assert re.search(r"<details[^>]* open>", second)
    assert 'class="wrong"' not in first


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
    harness: WebHarness, status: int, problem: dict[str, Any], words: str
) -> None:
    """The number goes to refunds as it was typed, and stays in the form with what is wrong beside it."""
    typed = "\u202a+62 (0)812\N{NO-BREAK SPACE}3456-789\u202c"
    harness.services.say("GET /refunds", items=[], next=None)
    harness.services.say("GET /refunds/wallet", credit_balance=0, dana={"linked": False, "phone": None}, entries=[])
    harness.services.say("PUT /refunds/wallet/dana", status, **problem)
    async with harness.browser() as browser:
        await harness.sign_in(browser)
        page = await post(harness, browser, "/wallet/dana", phone=typed)
    assert page.status_code == 422
    assert asked(harness, "PUT /refunds/wallet/dana") == [{"phone": typed}]
    assert f'value="{typed}"' in field(page, "phone")
    assert words in field(page, "phone")
