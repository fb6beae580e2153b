"""No query plan reads a whole table that grows."""

from collections.abc import Mapping
from uuid import UUID

import pytest

from batalkan.operate import connected
from lab.bench import meters
from lab.bench.old_orders import seed_old
from lab.bench.run import Run
from lab.bench.seed import seed
from lab.bench.variants import bench_servers, running
from services import SERVICES
from tests.harness.actors import Agent, Buyer, Person, Seller

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

OLD = 40_000
BUYER = (
    *("/orders", "/orders?status=cancelled", "/orders/counts", "/orders/products", "/orders/products/{product}"),
    *("/orders/sellers/{seller}/score", "/orders/sellers?seller_id={seller}", "/accounts/sellers?account_id={seller}"),
    *("/refunds", "/refunds?order_id={order}", "/refunds/wallet", "/chat/threads", "/chat/threads/{thread}/messages"),
    *("/cs/cases", "/cs/cases/{case}", "/cs/cases/{case}/messages"),
)
SELLER = (
    *("/orders", "/orders?status=delivered", "/orders/counts", "/chat/threads", "/chat/threads/{thread}/messages"),
    "/orders/products?seller_id={seller}",
)
AGENT = ("/refunds", "/refunds?order_id={order}", "/cs/cases", "/cs/cases?state=waiting", "/cs/cases?state=closed")
OPERATOR = tuple(f"/{service}/operator/trace?id={{order}}" for service in SERVICES)
MORE = {
    "accounts": "insert into accounts (account_id, email, name, role, password_hash) "
    "select gen_random_uuid(), n || '@example.com', 'Toko', 'seller', ''",
    "orders": "with c as (insert into cancellations (order_id, cancellation_id, seller_id, channel, role, fault, at, "
    "pieces, refund_amount, lines) select order_id, gen_random_uuid(), seller_id, 'app', 'buyer', 'buyer', placed_at, "
    "1, 0, '[]' from orders) insert into products (product_id, seller_id, title, price, stock, offered) "
    "select gen_random_uuid(), gen_random_uuid(), 'Kopi', 50000, 10, 10",
    "refunds": "insert into refunds (refund_id, cancellation_id, order_id, buyer_id, amount, destination, state) "
    "select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 50000, 'dana', 'issued'",
}
"""What old orders have few of, for each service."""


async def _seed_more(urls: Mapping[str, str]) -> None:
    for service, statement in MORE.items():
        async with connected(urls[service]) as connection:
            await connection.execute(f"{statement} from generate_series(1, {OLD}) n")
            await connection.execute("vacuum analyze")


@pytest.mark.usefixtures("installed")
async def test_neither_the_saga_nor_a_page_reads_a_whole_table() -> None:
    """With many orders, products, accounts and refunds, cancellations and all pages of lists, queues and threads read
    growing tables by index."""
    async with bench_servers() as servers, running("every", servers) as variant:
        await seed_old(variant.databases, OLD)
        await _seed_more(variant.databases)
        (order_id, buyer_id), (packed_id, other_id) = await seed(variant.databases, 0, 2)
        before = await meters.rows_scanned(variant.databases)
        assert {
            "orders.orders",
            "orders.products",
            "orders.cancellations",
            "refunds.refunds",
            "accounts.accounts",
        } <= before.keys()
        assert {"chat.orders_known", "cs.orders"} <= before.keys()
        figures = await Run(servers, variant, 2).measure(100, 16)
        assert variant.deployment
        async with variant.deployment.client() as http:
            buyer = Buyer.signed(http, variant.keys, "buyer", account_id=UUID(buyer_id))
            order = await buyer.order(order_id)
            seller_id = UUID(order["seller_id"])
            seller = Seller.signed(http, variant.keys, "seller", account_id=seller_id)
            other = await Buyer.signed(http, variant.keys, "buyer", account_id=UUID(other_id)).order(packed_id)
            packer = Seller.signed(http, variant.keys, "seller", account_id=UUID(other["seller_id"]))
            operator = Person.signed(http, variant.keys, "operator")
            for step in ("pack", "ship"):
                await packer.send(f"/orders/{packed_id}/{step}")
            agent = Agent.signed(http, variant.keys, "agent", account_id=seller_id)
            thread = await buyer.send("/chat/threads", order_id=order_id)
            case = await buyer.send("/cs/cases", text="Penjual tidak menjawab.")
            await agent.duty()
            ids = {"order": order_id, "product": order["lines"][0]["product_id"], "seller": seller_id}
            ids |= {"thread": thread["thread_id"], "case": case["case_id"]}
            for person, paths in ((buyer, BUYER), (seller, SELLER), (agent, AGENT), (operator, OPERATOR)):
                for path in paths:
                    for _ in range(7):  # from the sixth execution on the plan is generic
                        await person.get(path.format(**ids))
        await variant.deployment.processes.stop()  # a session reports all of its counters when it ends
        after = await meters.rows_scanned(variant.databases)
    assert figures.scanned == {}
    assert {table for table, count in after.items() if count > before.get(table, count)} == set()
