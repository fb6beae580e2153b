"""Invalid requests: each is answered with a problem that has a code, and changes nothing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness.actors import assert_problem
from tests.harness.orders import PRODUCT, OrdersHarness, an_order

ID = "0190d3a0-0000-7000-8000-00000000abcd"
LINE = {"product_id": ID, "quantity": 1}
JSON = {"Content-Type": "application/json"}

LINES: list[Any] = [
    *([], None, {}, [LINE] * 21, [LINE | {"extra": 1}], [{"product_id": ID}]),
    *([LINE | {"quantity": bad}] for bad in (0, -1, 101, 10**30, 1.5, 1.0, "1", None, True, [1])),
    *([LINE | {"product_id": bad}] for bad in ("", "x", 1, None, ID + "0", ID + "\0", [ID])),
]
ORDERS: list[Any] = [
    *({}, [], None, "order", 7, an_order(ID) | {"extra": 1}),
    *(an_order(ID) | {"lines": bad} for bad in LINES),
    *(an_order(ID) | {"payment_method": bad} for bad in ("gold", None, "dana\0")),
]
PRODUCTS: list[Any] = [
    *(PRODUCT | {"title": bad} for bad in ("", "   ", "x" * 201, "a\0b", "a\x1bb", 7)),
    *(PRODUCT | {"price": bad} for bad in (0, -5, 100_000_001, 10**400, "1000", 10.5)),
    *(PRODUCT | {"stock": bad} for bad in (-1, 1_000_001)),
    PRODUCT | {"seller_id": ID},
]
CANCELS = [
    *({"reason": bad} for bad in ("because", 1)),
    *({"note": bad} for bad in ("x" * 501, "a\0b", ["x"])),
    *({"reason": "other", "extra": 1}, [], "other"),
]
RAW = [
    *(b"", b"{", b"{]", b"\x00", b"\xff\xfe", b'{"lines": [}', b"[" * 5_000, b'{"a":' * 5_000),
    *(b'{"title": "%s", "price": 1, "stock": 1}' % title for title in (b"\\ud800", b"\xc3\x28")),
    *(b'{"title": "x", "price": %s, "stock": 1}' % price for price in (b"NaN", b"1e400", b"9" * 5_000)),
]


@pytest.mark.parametrize(
    ("path", "body"),
    [*(("/orders", body) for body in ORDERS), *(("/orders/products", body) for body in PRODUCTS)],
    ids=lambda value: json.dumps(value)[:80],
)
async def test_a_malformed_order_or_product_is_refused(path: str, body: Any, harness: OrdersHarness) -> None:
    """Missing and unknown fields, wrong types, numbers out of range, overlong and unprintable text: 422."""
    person = harness.buyer() if path == "/orders" else harness.seller()
    assert_problem(await person.ask("POST", path, body), 422, "invalid_request")


async def test_a_malformed_cancellation_is_refused(harness: OrdersHarness) -> None:
    """Unknown reasons, overlong and unprintable notes: 422, and the order is as it was."""
    sale = await harness.sold()
    before = await sale.seen()
    for body in CANCELS:
        assert_problem(await sale.buyer.ask("POST", f"{sale.path}/cancel", body), 422, "invalid_request")
    assert await sale.seen() == before


@pytest.mark.parametrize("content", RAW, ids=lambda raw: repr(raw)[:40])
async def test_a_body_that_is_not_json_is_refused(content: bytes, harness: OrdersHarness) -> None:
    """A body that is broken, too deeply nested, cut inside a character or not a number is refused."""
    answers = [await harness.seller().ask("POST", "/orders/products", content=content, headers=JSON)]
    if content:  # a cancellation needs no body
        answers.append(await harness.buyer().ask("POST", f"/orders/{ID}/cancel", content=content, headers=JSON))
    for answer in answers:
        assert answer.status_code in (400, 422)
        assert_problem(answer, answer.status_code)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_another_content_type_is_refused(kind: str, harness: OrdersHarness) -> None:
    """A body has to say that it is JSON."""
    headers = {"Content-Type": kind} if kind else {}
    content = json.dumps(PRODUCT).encode()
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
    bodies: list[Any] = [b'{"title": "' + b"x" * 65_536 + b'"}', chunks(70_000)]
    answers = [await person.ask("POST", path, content=body, headers=JSON) for body in bodies]
    for answer in answers:
        assert_problem(answer, 413, answers[0].json()["code"])


@pytest.mark.parametrize(
    "path",
    [
        *("x", f"{ID}%00", "%00", "%ff", f"{ID}0", "1" * 3_000, "sellers/x/score"),
        *(f"?status={bad}" for bad in ("lost", "packed%00")),
        *(f"?limit={bad}" for bad in ("0", "101", "1e3", "9" * 5_000, "")),
        *(f"?cursor={bad}" for bad in ("x", "%00")),
        *("products?cursor=1%20or%201=1", "products?limit=-1"),
    ],
    ids=lambda path: path[:50],
)
async def test_malformed_paths_and_queries_are_refused(path: str, harness: OrdersHarness) -> None:
    """Ids that are none, NUL bytes, limits out of range, unknown statuses: 422."""
    path = f"/orders{path}" if path.startswith("?") else f"/orders/{path}"
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


async def test_head_returns_the_headers_of_get(harness: OrdersHarness) -> None:
    """HEAD returns the headers that GET returns."""
    buyer = harness.buyer()
    for path in ("/orders", "/orders/products", "/orders/health/live", f"/orders/{ID}"):
        get, head = await buyer.ask("GET", path), await buyer.ask("HEAD", path)
        assert (head.status_code, head.headers["content-length"]) == (get.status_code, get.headers["content-length"])


@pytest.mark.parametrize("token", ["", "x", "x.y.z", "\xff", "a" * 5_000])
async def test_an_invalid_token_is_refused(token: str, harness: OrdersHarness) -> None:
    """An invalid token is answered with 401 and a WWW-Authenticate header."""
    headers = [(b"Authorization", b"Bearer " + token.encode("latin-1"))]
    answer = await harness.actors.anonymous().http.get("/orders", headers=headers)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_route_without_a_body_refuses_one(harness: OrdersHarness) -> None:
    """A route without a body refuses every body except an empty object."""
    sale = await harness.sold("unpaid")
    for body in ('{"amount": 1}', "[]", "1", '"later"', "no json", '{"reason": "late"}'):
        assert_problem(await sale.buyer.ask("POST", f"{sale.path}/pay", content=body), 422, "invalid_request")
    assert (await sale.seen())["status"] == "unpaid"
    for nothing in ("{}", ""):
        assert (await sale.buyer.ask("POST", f"{sale.path}/pay", content=nothing)).status_code == 200
