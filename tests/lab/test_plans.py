"""No query plan reads a whole table that grows."""

from uuid import UUID

import pytest

from lab.bench import meters
from lab.bench.old_orders import seed_old
from lab.bench.run import Run
from lab.bench.seed import seed
from lab.bench.variants import bench_servers, running
from tests.harness.actors import Agent, Buyer, Seller

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

OLD = 40_000
BUYER = (
    *("/orders", "/orders?status=cancelled", "/orders/products", "/orders/sellers/{seller}/score"),
    *("/refunds", "/refunds/wallet", "/chat/threads", "/chat/threads/{thread}/messages"),
    *("/cs/cases", "/cs/cases/{case}", "/cs/cases/{case}/messages"),
)
SELLER = ("/orders", "/orders?status=delivered", "/chat/threads", "/chat/threads/{thread}/messages")
AGENT = ("/refunds", "/cs/cases", "/cs/cases?state=waiting", "/cs/cases?state=closed")


@pytest.mark.usefixtures("installed")
async def test_neither_the_saga_nor_a_page_reads_a_whole_table() -> None:
    """With many old orders, cancellations and all pages of lists, queues and threads read growing tables by index."""
    async with bench_servers() as servers, running("every", servers) as variant:
        await seed_old(variant.databases, OLD)
        ((order_id, buyer_id),) = await seed(variant.databases, 0, 1)
        before = await meters.rows_scanned(variant.databases)
        assert {"orders.orders", "chat.orders_known", "cs.orders"} <= before.keys()
        figures = await Run(servers, variant, 1).measure(100, 16)
        assert variant.deployment
        async with variant.deployment.client() as http:
            buyer = Buyer.signed(http, variant.keys, "buyer", account_id=UUID(buyer_id))
            seller_id = UUID((await buyer.order(order_id))["seller_id"])
            seller = Seller.signed(http, variant.keys, "seller", account_id=seller_id)
            agent = Agent.signed(http, variant.keys, "agent", account_id=seller_id)
            thread = await buyer.send("/chat/threads", order_id=order_id)
            case = await buyer.send("/cs/cases", text="Penjual tidak menjawab.")
            await agent.duty()
            for person, paths in ((buyer, BUYER), (seller, SELLER), (agent, AGENT)):
                for path in paths:
                    for _ in range(7):  # from the sixth execution on the plan is generic
                        await person.get(
                            path.format(thread=thread["thread_id"], case=case["case_id"], seller=seller_id)
                        )
        await variant.deployment.processes.stop()  # a session reports all of its counters when it ends
        after = await meters.rows_scanned(variant.databases)
    assert figures.scanned == {}
    assert {table for table, count in after.items() if count > before.get(table, count)} == set()
