"""Invalid requests: each is answered with a problem that has a code, and changes nothing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness.actors import assert_problem
from tests.harness.orders import OrdersHarness

ID = "0190d3a0-0000-7000-8000-00000000abcd"
LINE = {"product_id": ID, "quantity": 1}


def order_with(**changes: Any) -> dict[str, Any]:
    """A well-formed order, with changes."""
    return {"lines": [LINE], "payment_method": "dana"} | changes


QUANTITIES: list[Any] = [0, -1, 101, 10**30, 1.5, 1.0, "1", None, True, [1]]
PRODUCT_IDS: list[Any] = ["", "x", 1, None, ID + "0", ID + "\0", {}]
ORDERS: list[Any] = [
    {},
    [],
    None,
    "order",
    7,
    order_with(extra=1),
    order_with(lines=[]),
    order_with(lines=None),
    order_with(lines={}),
    order_with(lines=[LINE] * 21),
    order_with(lines=[LINE | {"extra": 1}]),
    order_with(lines=[{"product_id": ID}]),
    order_with(payment_method="gold"),
    order_with(payment_method=None),
    order_with(payment_method="dana\0"),
    *(order_with(lines=[LINE | {"quantity": bad}]) for bad in QUANTITIES),
    *(order_with(lines=[LINE | {"product_id": bad}]) for bad in PRODUCT_IDS),
]
PRODUCT = {"title": "Kopi", "price": 1000, "stock": 1}
PRODUCTS = [
    PRODUCT | change
    for change in (
        {"title": ""},
        {"title": "   "},
        {"title": "x" * 201},
        {"title": "a\0b"},
        {"title": "a\x1bb"},
        {"title": 7},
        {"price": 0},
        {"price": -5},
        {"price": 100_000_001},
        {"price": 10**400},
        {"price": "1000"},
        {"price": 10.5},
        {"stock": -1},
        {"stock": 1_000_001},
        {"seller_id": ID},
    )
]
CANCELS = [
    {"reason": "because"},
    {"reason": 1},
    {"note": "x" * 501},
    {"note": "a\0b"},
    {"note": ["x"]},
    {"reason": "other", "extra": 1},
    [],
    "other",
]
RAW = [
    b"",
    b"{",
    b"{]",
    b"\x00",
    b"\xff\xfe",
    b'{"lines": [}',
    b"[" * 5_000,
    b'{"a":' * 5_000,
    b'{"title": "\\ud800", "price": 1, "stock": 1}',
    b'{"title": "\xc3\x28", "price": 1, "stock": 1}',
    b'{"title": "x", "price": NaN, "stock": 1}',
    b'{"title": "x", "price": 1e400, "stock": 1}',
    b'{"title": "x", "price": ' + b"9" * 5_000 + b', "stock": 1}',
]


@pytest.mark.parametrize("body", ORDERS, ids=lambda body: json.dumps(body)[:60])
async def test_a_malformed_order_is_refused(body: Any, harness: OrdersHarness) -> None:
    """Missing and unknown fields, wrong types, zero and huge quantities, too many lines: 422."""
    assert_problem(await harness.buyer().ask("POST", "/orders", json=body), 422, "invalid_request")


@pytest.mark.parametrize("body", PRODUCTS, ids=lambda body: json.dumps(body)[:80])
async def test_a_malformed_product_is_refused(body: Any, harness: OrdersHarness) -> None:
    """Overlong and unprintable text, prices and stocks out of range: 422."""
    assert_problem(await harness.seller().ask("POST", "/orders/products", json=body), 422, "invalid_request")


async def test_a_malformed_cancellation_is_refused(harness: OrdersHarness) -> None:
    """Unknown reasons, overlong and unprintable notes: 422, and the order is as it was."""
    sale = await harness.sold()
    before = await sale.seen()
    for body in CANCELS:
        assert_problem(await sale.buyer.ask("POST", f"{sale.path}/cancel", json=body), 422, "invalid_request")
    assert await sale.seen() == before


@pytest.mark.parametrize("content", RAW, ids=lambda raw: repr(raw)[:40])
async def test_what_is_not_json_is_refused(content: bytes, harness: OrdersHarness) -> None:
    """A body that is broken, too deeply nested, cut inside a character or not a number is refused."""
    answer = await harness.seller().ask(
        "POST", "/orders/products", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert_problem(answer, answer.status_code)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_another_content_type_is_refused(kind: str, harness: OrdersHarness) -> None:
    """A body has to say that it is JSON."""
    content = json.dumps(PRODUCT).encode()
    headers = {"Content-Type": kind} if kind else {}
    answer = await harness.seller().ask("POST", "/orders/products", content=content, headers=headers)
    assert answer.status_code in (400, 415, 422)
    assert_problem(answer, answer.status_code)


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A body that does not say how long it is."""
    yield b'{"title": "'
    for _ in range(size // 1024):
        yield b"x" * 1024
    yield b'"}'


@pytest.mark.parametrize("path", ["/orders/products", "/orders", f"/orders/{ID}/cancel"])
async def test_more_than_64_kib_is_refused(path: str, harness: OrdersHarness) -> None:
    """A body that is too large is refused with 413, with a Content-Length header or without."""
    person = harness.seller() if path.endswith("products") else harness.buyer()
    headers = {"Content-Type": "application/json"}
    announced = await person.ask("POST", path, content=b'{"title": "' + b"x" * 65_536 + b'"}', headers=headers)
    assert_problem(announced, 413)
    unannounced = await person.ask("POST", path, content=chunks(70_000), headers=headers)
    assert_problem(unannounced, 413)
    assert announced.json()["code"] == unannounced.json()["code"]


@pytest.mark.parametrize(
    "path",
    [
        "/orders/x",
        f"/orders/{ID}%00",
        "/orders/%00",
        "/orders/%ff",
        f"/orders/{ID}0",
        "/orders/" + "1" * 3_000,
        "/orders?status=lost",
        "/orders?status=packed%00",
        "/orders?limit=0",
        "/orders?limit=101",
        "/orders?limit=1e3",
        "/orders?limit=" + "9" * 5_000,
        "/orders?limit=",
        "/orders?cursor=x",
        "/orders?cursor=%00",
        "/orders/products?cursor=1%20or%201=1",
        "/orders/products?limit=-1",
        "/orders/sellers/x/score",
    ],
    ids=lambda path: path[:50],
)
async def test_malformed_paths_and_queries_are_refused(path: str, harness: OrdersHarness) -> None:
    """Ids that are none, NUL bytes, limits out of range, unknown statuses: 422."""
    assert_problem(await harness.buyer().ask("GET", path), 422, "invalid_request")


async def test_unknown_paths_and_methods_are_problems_too(harness: OrdersHarness) -> None:
    """An unknown path (404) and a wrong method (405) are answered with a problem as well."""
    buyer = harness.buyer()
    assert_problem(await buyer.ask("GET", f"/orders/{ID}/pay"), 405)
    wrong = await buyer.ask("DELETE", "/orders")
    assert_problem(wrong, 405)
    assert wrong.headers["allow"] == "GET, HEAD, POST"
    assert (await buyer.ask("HEAD", f"/orders/{ID}/pay")).status_code == 405
    for path in ("/orders/a/b/c/d", "/orders/", f"/orders/{ID}/", "/orders//products"):
        assert_problem(await buyer.ask("GET", path), 404, "not_found")


async def test_head_is_get(harness: OrdersHarness) -> None:
    """HEAD returns the headers that GET returns."""
    buyer = harness.buyer()
    for path in ("/orders", "/orders/products", "/orders/health/live", f"/orders/{ID}"):
        get, head = await buyer.ask("GET", path), await buyer.ask("HEAD", path)
        assert (head.status_code, head.headers["content-length"]) == (get.status_code, get.headers["content-length"])


@pytest.mark.parametrize("token", ["", "x", "x.y.z", "\xff", "a" * 5_000])
async def test_a_bad_token_is_no_token(token: str, harness: OrdersHarness) -> None:
    """An invalid token is answered with 401 and a WWW-Authenticate header."""
    headers = [(b"Authorization", b"Bearer " + token.encode("latin-1"))]
    answer = await harness.actors.anonymous().http.get("/orders", headers=headers)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("body", ['{"amount": 1}', "[]", "1", '"later"', "no json", '{"reason": "late"}'])
async def test_a_body_that_would_be_dropped_is_refused(harness: OrdersHarness, body: str) -> None:
    """A route without a body refuses every body except an empty object."""
    sale = await harness.sold("unpaid")
    assert_problem(await sale.buyer.ask("POST", f"{sale.path}/pay", content=body), 422, "invalid_request")
    assert (await sale.seen())["status"] == "unpaid"
    for nothing in ("{}", ""):
        assert (await sale.buyer.ask("POST", f"{sale.path}/pay", content=nothing)).status_code == 200
