"""No query plan reads a whole table that grows."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from batalkan.servers import install
from contracts.words import Role
from lab.bench import meters
from lab.bench.old_orders import seed_old
from lab.bench.run import Run
from lab.bench.seed import seed
from lab.bench.variants import bench_servers, running
from services.accounts.domain import Account, Client
from services.accounts.tokens import AccessTokens

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

OLD = 40_000


async def test_neither_the_saga_nor_a_page_reads_a_whole_table(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With many old orders, cancellations and all pages of lists, queues and threads read growing tables by index."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("servers") / "install.log")
    async with bench_servers() as servers, running("all", servers) as variant:
        await seed_old(variant.databases, OLD)
        ((order_id, buyer_id),) = await seed(variant.databases, 0, 1)
        before = await meters.rows_scanned(variant.databases)
        assert {"orders.orders", "chat.orders_known", "cs.orders"} <= before.keys()
        figures = await Run(servers, variant, 1).measure(100, 16)
        assert variant.processes is not None
        origins = {name: one.ready_url.partition(f"/{name}/")[0] for name, one in variant.processes.watched.items()}
        tokens = AccessTokens.read(variant.signing_key)
        async with httpx.AsyncClient(trust_env=False) as http:

            async def ask(person: str, role: Role, method: str, path: str, **body: Any) -> Any:
                account = Account(UUID(person), "a@example.com", "A", role)
                header = {"Authorization": f"Bearer {tokens.issue(account, Client.APP, 'bench')}"}
                origin = origins[path.split("/")[1].partition("?")[0]]
                answer = await http.request(method, f"{origin}{path}", headers=header, json=body or None)
                assert answer.is_success, answer.text
                return answer.json()

            order = await ask(buyer_id, Role.BUYER, "GET", f"/orders/{order_id}")
            seller_id = order["seller_id"]
            thread = await ask(buyer_id, Role.BUYER, "POST", "/chat/threads", order_id=order_id)
            case = await ask(buyer_id, Role.BUYER, "POST", "/cs/cases", text="Penjual tidak menjawab.")
            await ask(seller_id, Role.AGENT, "PUT", "/cs/duty", on=True)
            for person, role in ((buyer_id, Role.BUYER), (seller_id, Role.SELLER), (seller_id, Role.AGENT)):
                for path in PAGES[role]:
                    for _ in range(7):  # from the sixth execution on the plan is generic
                        filled = path.format(thread=thread["thread_id"], case=case["case_id"], seller=seller_id)
                        await ask(person, role, "GET", filled)
        await variant.processes.stop()  # a session reports all of its counters when it ends
        after = await meters.rows_scanned(variant.databases)
    assert figures.scanned == {}
    assert {table for table, count in after.items() if count > before.get(table, count)} == set()


PAGES = {
    Role.BUYER: (
        *("/orders", "/orders?status=cancelled", "/orders/products", "/orders/sellers/{seller}/score"),
        *("/refunds", "/refunds/wallet", "/chat/threads", "/chat/threads/{thread}/messages"),
        *("/cs/cases", "/cs/cases/{case}", "/cs/cases/{case}/messages"),
    ),
    Role.SELLER: ("/orders", "/orders?status=delivered", "/chat/threads", "/chat/threads/{thread}/messages"),
    Role.AGENT: ("/refunds", "/cs/cases", "/cs/cases?state=waiting", "/cs/cases?state=closed"),
}
