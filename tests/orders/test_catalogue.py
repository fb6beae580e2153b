"""What is for sale."""

from datetime import datetime, timedelta
from uuid import UUID

from tests.harness.actors import Json, assert_problem
from tests.harness.orders import OrdersHarness


async def test_a_product_is_offered_to_everybody(harness: OrdersHarness) -> None:
    """The catalogue shows a seller's product with its stock, also without a sign-in."""
    seller = harness.seller()
    body = {"title": "  Kemeja batik\u00a0✓ ", "price": 189_000, "stock": 3}
    product = await seller.post("/orders/products", body, 201)
    assert product | {"title": "Kemeja batik\u00a0✓", "price": 189_000, "stock": 3} == product
    assert product["seller_id"] == str(seller.account_id)
    found: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        page = await harness.actors.anonymous().get("/orders/products", limit=100, **cursor)
        found += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert product in found
    assert len({item["product_id"] for item in found}) == len(found)


async def test_the_catalogue_comes_in_parts(harness: OrdersHarness) -> None:
    """`next` leads through the catalogue without a gap and without a repetition."""
    everybody = harness.actors.anonymous()
    first = await everybody.get("/orders/products", limit=2)
    second = await everybody.get("/orders/products", limit=2, cursor=first["next"])
    both = await everybody.get("/orders/products", limit=4)
    assert first["items"] + second["items"] == both["items"]


async def test_the_products_of_one_seller_can_be_asked_for(harness: OrdersHarness) -> None:
    """With a seller's id the catalogue is that seller's alone."""
    seller = harness.seller()
    product = await seller.post("/orders/products", {"title": "Kopi", "price": 1, "stock": 1}, 201)
    assert (await seller.get("/orders/products", seller_id=str(seller.account_id)))["items"] == [product]


async def test_everybody_can_ask_what_time_it_is(harness: OrdersHarness) -> None:
    """`/orders/clock` returns the database's time, also when it was moved: orders are decided by it."""
    told = datetime.fromisoformat((await harness.actors.anonymous().get("/orders/clock"))["now"])
    (row,) = await harness.fetch("select clock_now() as now")
    assert timedelta(0) <= row["now"] - told < timedelta(minutes=1)


async def test_only_sellers_sell(harness: OrdersHarness) -> None:
    """Buyers and agents may not offer products, and a passer-by is asked to sign in."""
    body = {"title": "Kopi", "price": 1, "stock": 1}
    for person in (harness.buyer(), harness.actors.person("agent")):
        assert_problem(await person.ask("POST", "/orders/products", json=body), 403, "wrong_role")
    assert_problem(await harness.actors.anonymous().ask("POST", "/orders/products", json=body), 401, "unauthenticated")


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
    body = {"title": "Kopi Gayo", "price": 1000, "stock": 5, "listed": False}
    hidden = (await seller.post("/orders/products", body, 201))["product_id"]
    listed = (await seller.post("/orders/products", {**body, "listed": True}, 201))["product_id"]
    before = str(UUID(int=UUID(hidden).int - 1))
    catalogue = (await seller.get("/orders/products", cursor=before))["items"]
    assert catalogue[0]["product_id"] == listed  # behind it stand the products of other tests
    offered = (await seller.get("/orders/products", seller_id=str(seller.account_id)))["items"]
    assert [(product["product_id"], product["listed"]) for product in offered] == [(hidden, False), (listed, True)]
    assert (await harness.order(harness.buyer(), hidden))["status"] == "unpaid"
