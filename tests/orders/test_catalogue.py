"""What is for sale."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.harness.actors import assert_problem
from tests.harness.orders import PRODUCT, OrdersHarness


async def test_a_product_is_offered_to_everybody(harness: OrdersHarness) -> None:
    """The catalogue shows a seller's product with its stock, also without a sign-in."""
    seller = harness.seller()
    body = {"title": "  Kemeja batik\u00a0✓ ", "price": 189_000, "stock": 3}
    product = await seller.post("/orders/products", body, 201)
    assert product.items() >= {**body, "title": "Kemeja batik\u00a0✓", "seller_id": str(seller.account_id)}.items()
    before = str(UUID(int=UUID(product["product_id"]).int - 1))
    assert (await harness.actors.anonymous().get("/orders/products", cursor=before))["items"][0] == product


async def test_the_catalogue_comes_in_parts(harness: OrdersHarness) -> None:
    """`next` leads through the catalogue without a gap and without a repetition."""
    everybody = harness.actors.anonymous()
    first = await everybody.get("/orders/products", limit=2)
    second = await everybody.get("/orders/products", limit=2, cursor=first["next"])
    both = await everybody.get("/orders/products", limit=4)
    assert first["items"] + second["items"] == both["items"]


async def test_the_catalogue_is_filtered(harness: OrdersHarness) -> None:
    """By a part of the title, in any case and with signs that patterns have; by price; by stock. A product is found by
    its id as well."""
    seller, word = harness.seller(), f"100%_{uuid4().hex}"
    cheap = await harness.product(seller, title=f"Kopi {word}", price=10)
    dear = await harness.product(seller, title=f"Teh {word}", price=11, stock=0)
    everybody = harness.actors.anonymous()

    async def found(**wish: Any) -> list[str]:
        wished = {"title": word.upper(), **wish}
        return [one["product_id"] for one in (await everybody.get("/orders/products", **wished))["items"]]

    assert await found() == [cheap, dear]
    assert await found(title=f"kopi {word}") == await found(max_price=10) == await found(in_stock="true") == [cheap]
    assert await found(title=word.replace("%", "x")) == []
    assert (await everybody.get(f"/orders/products/{dear}"))["price"] == 11
    assert_problem(await everybody.ask("GET", f"/orders/products/{uuid4()}"), 404, "not_found")


async def test_the_clock_is_public(harness: OrdersHarness) -> None:
    """`/orders/clock` returns the database's time, also when it was moved: orders are decided by it."""
    shown = datetime.fromisoformat((await harness.actors.anonymous().get("/orders/clock"))["now"])
    (row,) = await harness.fetch("select clock_now() as now")
    assert timedelta(0) <= row["now"] - shown < timedelta(minutes=1)


async def test_the_reasons_are_in_two_languages(harness: OrdersHarness) -> None:
    """The reasons are public, each with its text in Indonesian and English."""
    reasons = (await harness.actors.anonymous().get("/orders/cancel-reasons"))["items"]
    assert {"changed_mind", "other"} <= {reason["code"] for reason in reasons}
    assert all(reason["id"] and reason["en"] and reason["id"] != reason["en"] for reason in reasons)


async def test_the_demonstration_has_a_catalogue(harness: OrdersHarness) -> None:
    """In demonstration mode the demonstration's seller has products from the start."""
    rows = await harness.fetch("select from products where seller_id = '0190d3a0-0000-7000-8000-000000000002'")
    assert len(rows) >= 5


async def test_an_unlisted_product_is_found_by_its_id_only(harness: OrdersHarness) -> None:
    """It is not in the catalogue, but among all that its seller offers, and can be ordered."""
    seller = harness.seller()
    hidden, listed = await harness.product(seller, listed=False), await harness.product(seller)
    before = str(UUID(int=UUID(hidden).int - 1))
    catalogue = (await seller.get("/orders/products", cursor=before))["items"]
    assert catalogue[0]["product_id"] == listed  # behind it stand the products of other tests
    offered = (await seller.get("/orders/products", seller_id=str(seller.account_id)))["items"]
    assert [(product["product_id"], product["listed"]) for product in offered] == [(hidden, False), (listed, True)]
    assert (await harness.order(harness.buyer(), hidden))["status"] == "unpaid"


async def test_a_seller_offers_a_bounded_number_of_products(harness: OrdersHarness) -> None:
    """With 999 products, of five more at once one is added."""
    seller = harness.seller()
    await harness.fetch(
        "insert into products (product_id, seller_id, title, price, stock) "
        "select gen_random_uuid(), $1, 'Kopi', 1, 0 from generate_series(1, 999)",
        seller.account_id,
    )
    answers = await asyncio.gather(*(seller.ask("POST", "/orders/products", PRODUCT) for _ in range(5)))
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 4
    for answer in refused:
        assert_problem(answer, 409, "too_many_products")
    await harness.fetch("delete from products where seller_id = $1", seller.account_id)
