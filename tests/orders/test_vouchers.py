"""Vouchers and the shipping fee: what an order costs, and how often a voucher is used."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from batalkan.keys import Keys
from contracts.words import Role
from services.orders.main import SPEC
from tests.conftest import Databases
from tests.harness.actors import Json, Person, assert_problem
from tests.harness.orders import OrdersHarness, Sale, an_order, open_harness
from tests.harness.waiting import becomes


async def offered(harness: OrdersHarness, **voucher: Any) -> tuple[Person, str]:
    """A seller with a product at 50,000 and a voucher HEMAT."""
    seller = harness.seller()
    await seller.post("/orders/vouchers", {"code": "HEMAT", "uses": 3} | voucher, 201)
    return seller, await harness.product(seller, stock=100)


async def place(
    product: str, buyer: Person, quantity: int = 1, code: str = "HEMAT", method: str = "dana"
) -> httpx.Response:
    """Orders with a voucher."""
    body: Json = an_order(product, quantity=quantity, method=method)
    return await buyer.ask("POST", "/orders", body | {"voucher": code})


async def used(seller: Person) -> int:
    """How often the seller's only voucher is used."""
    [voucher] = (await seller.get("/orders/vouchers"))["items"]
    return int(voucher["used"])


async def test_a_voucher_reduces_what_is_paid(harness: OrdersHarness) -> None:
    """The order shows the voucher, its discount and the net of its lines; exactly the total is paid, and comes back."""
    seller, product = await offered(harness, percent=10, cap=12_000, minimum=100_000)
    buyer = harness.buyer()
    order = (await place(product, buyer, 3)).json()
    shown = ("voucher", "discount", "shipping_fee", "total", "refunded_amount")
    assert [order[name] for name in shown] == ["HEMAT", 12_000, 0, 138_000, 0]
    assert order["lines"][0]["net"] == 138_000
    assert (await harness.recorder.wait_for(order["order_id"], "OrderPlaced"))["data"]["total"] == 138_000
    path = f"/orders/{order['order_id']}"
    assert (await buyer.post(f"{path}/pay"))["paid_amount"] == 138_000
    lines = {"lines": [{"product_id": product, "quantity": 2}]}
    refused = await buyer.ask("POST", f"{path}/cancel", lines, "k")
    assert_problem(refused, 409, "below_voucher_minimum")
    lines["lines"][0]["quantity"] = 1
    assert (await buyer.post(f"{path}/cancel", lines, 200, **{"Idempotency-Key": "k"}))["refunded_amount"] == 46_000
    assert (await buyer.post(f"{path}/cancel"))["refunded_amount"] == 138_000
    assert await used(seller) == 0


async def test_an_operator_does_not_see_the_code(harness: OrdersHarness, keys: Keys) -> None:
    """What the console shows of an order says whether there was a voucher, and not its code: a seller writes it."""
    _, product = await offered(harness, amount=5_000)
    with_voucher = (await place(product, harness.buyer())).json()["order_id"]
    without = (await harness.order(harness.buyer(), product))["order_id"]
    operator = Person.signed(harness.actors.http, keys, Role.OPERATOR)
    for order_id, had_one in ((with_voucher, True), (without, False)):
        answer = await operator.ask("GET", f"/orders/operator/trace?id={order_id}")
        (record,) = answer.json()["records"]
        assert record["facts"]["voucher"] is had_one
        assert "HEMAT" not in answer.text


async def test_the_shipping_fee_comes_back_with_the_last_pieces(embedded_databases: Databases, keys: Keys) -> None:
    """`SHIPPING_FEE` is paid once for an order, and is no part of a piece."""
    url = await embedded_databases.migrated("orders", SPEC.migrations)
    async with open_harness(url, keys, SHIPPING_FEE="9000") as harness:
        buyer, product = harness.buyer(), await harness.product()
        order = await harness.order(buyer, product, quantity=2)
        assert (order["shipping_fee"], order["total"], order["lines"][0]["net"]) == (9000, 109_000, 100_000)
        path, lines = f"/orders/{order['order_id']}", {"lines": [{"product_id": product, "quantity": 1}]}
        await buyer.post(f"{path}/pay")
        for key, refunded in (("1", 50_000), ("2", 109_000)):
            order = await buyer.post(f"{path}/cancel", lines, 200, **{"Idempotency-Key": key})
            assert order["refunded_amount"] == refunded
        assert order["status"] == "cancelled"
    await harness.service.uow.database.close()


async def test_a_voucher_is_not_used_more_often_than_it_may(harness: OrdersHarness) -> None:
    """Of twenty orders at once for three uses, three are placed; the others are refused, and reserve nothing."""
    seller, product = await offered(harness, amount=1000)
    answers = await asyncio.gather(*(place(product, harness.buyer()) for _ in range(20)))
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 17
    for answer in refused:
        assert_problem(answer, 409, "voucher_not_usable")
    assert (await used(seller), await harness.stock(product)) == (3, 97)


async def test_a_voucher_that_cannot_be_used(harness: OrdersHarness) -> None:
    """One of another seller, unknown, or for more money is refused, and the order is not placed."""
    seller, product = await offered(harness, amount=1000, minimum=50_001)
    _, other = await offered(harness, amount=1000)
    for answer in (
        await place(product, harness.buyer()),
        await place(other, harness.buyer(), code="hemat"),
        await place(await harness.product(), harness.buyer()),
    ):
        assert_problem(answer, 409, "voucher_not_usable")
    assert (await used(seller), await harness.stock(product)) == (0, 100)


@pytest.mark.parametrize("way", ["whole", "last pieces", "seller", "silence", "not paid", "not shipped"])
async def test_the_use_comes_back_once_when_nothing_is_left(way: str, harness: OrdersHarness) -> None:
    """In whichever way the order ends; not before, and not twice."""
    seller, product = await offered(harness, amount=1000)
    sale, other = [
        Sale(buyer, seller, product, (await place(product, buyer, 2)).json()["order_id"])
        for buyer in (harness.buyer(), harness.buyer())
    ]
    for one in (other, *((sale,) if way != "not paid" else ())):
        await one.buyer.post(f"{one.path}/pay")
    await seller.post(f"{other.path}/pack")
    await seller.post(f"{other.path}/ship")
    assert await used(seller) == 2
    if way in ("whole", "last pieces"):
        lines = {"lines": [{"product_id": product, "quantity": 1}]}
        await sale.buyer.post(f"{sale.path}/cancel", lines, 200, **{"Idempotency-Key": "1"})
        assert await used(seller) == 2
        more = (lines, {"Idempotency-Key": "2"}) if way == "last pieces" else (None, {})
        for _ in range(2):
            await sale.buyer.post(f"{sale.path}/cancel", more[0], 200, **more[1])
    elif way in ("seller", "silence"):
        for _ in range(2):
            await harness.request(sale, "chat" if way == "seller" else "cs")
    else:
        await harness.later(days=4)
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    await becomes(lambda: used(seller), 1)
    assert await harness.stock(product) == 98


async def test_an_order_that_costs_nothing(harness: OrdersHarness) -> None:
    """It is paid like any other, once, and cancelled without a refund."""
    seller, product = await offered(harness, percent=100, cap=50_000)
    buyer = harness.buyer()
    sale = Sale(buyer, seller, product, (await place(product, buyer)).json()["order_id"])
    paid = await buyer.post(f"{sale.path}/pay")
    assert (paid["status"], paid["total"], paid["paid_amount"]) == ("processing", 0, 0)
    assert await buyer.post(f"{sale.path}/pay") == paid
    assert (await buyer.post(f"{sale.path}/cancel"))["refunded_amount"] == 0
    assert harness.recorder.names(sale.order_id).count("OrderPaid") <= 1
    assert (await harness.recorder.wait_for(sale.order_id, "OrderCancelled"))["data"]["paid_amount"] == 0
    assert_problem(await buyer.ask("POST", f"{sale.path}/pay"), 409, "wrong_state")


async def test_a_sellers_vouchers(harness: OrdersHarness) -> None:
    """A code is unique for its seller; a seller sees the own ones, page by page; a repeated request makes one."""
    seller, _ = await offered(harness, amount=1000)
    await offered(harness, amount=1000)
    answer = await seller.ask("POST", "/orders/vouchers", {"code": "HEMAT", "amount": 5, "uses": 1})
    assert_problem(answer, 409, "voucher_exists")
    body, key = {"code": "BARU", "percent": 5, "cap": 500, "uses": 7}, {"Idempotency-Key": "k"}
    made = await seller.post("/orders/vouchers", body, 201, **key)
    assert await seller.post("/orders/vouchers", body, 201, **key) == made
    assert made.items() >= {**body, "amount": None, "minimum": 0, "used": 0}.items()
    page = await seller.get("/orders/vouchers", limit=1)
    assert [one["code"] for one in page["items"]] == ["HEMAT"]
    assert (await seller.get("/orders/vouchers", limit=2, cursor=page["next"])) == {"items": [made], "next": None}
    assert_problem(await harness.buyer().ask("POST", "/orders/vouchers", body), 403)


async def test_a_seller_has_a_thousand_vouchers(harness: OrdersHarness) -> None:
    """A seller's voucher beyond the thousandth is refused."""
    seller = harness.seller()
    await harness.fetch(
        "insert into vouchers (voucher_id, seller_id, code, amount, minimum, uses) "
        "select gen_random_uuid(), $1, n::text, 5, 0, 1 from generate_series(1, 999) n",
        seller.account_id,
    )
    await seller.post("/orders/vouchers", {"code": "LAST", "amount": 5, "uses": 1}, 201)
    answer = await seller.ask("POST", "/orders/vouchers", {"code": "MORE", "amount": 5, "uses": 1})
    assert_problem(answer, 409, "too_many_vouchers")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"amount": 0},
        {"amount": 5, "percent": 5, "cap": 5},
        {"percent": 5},
        {"amount": 5, "cap": 5},
        {"percent": 101, "cap": 5},
        {"amount": 5, "minimum": -1},
        {"amount": 5, "uses": 0},
        {"amount": 5, "code": ""},
        {"amount": 5, "code": "a b"},
        {"amount": 5, "code": "x" * 41},
    ],
)
async def test_an_invalid_voucher_is_refused(wrong: Json, harness: OrdersHarness) -> None:
    """Either an amount, or a percentage with a cap, within its bounds, under a visible code."""
    body = {"code": uuid4().hex, "uses": 1} | wrong
    assert_problem(await harness.seller().ask("POST", "/orders/vouchers", body), 422, "invalid_request")
