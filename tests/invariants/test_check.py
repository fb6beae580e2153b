"""Each invariant, broken by hand in the stores of a system that ran: the checker names it, and nothing else."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from batalkan.cli import app
from batalkan.invariants import Evidence, check
from batalkan.operate import connected
from tests.conftest import Databases
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import contacted
from tests.harness.system import SystemUnderTest, embedded

pytestmark = pytest.mark.timeout(300)  # all of a system is started, once


@dataclass(frozen=True)
class Ran:
    """A system in which something has happened, at rest, and the cancellations whose acceptance the buyers received."""

    system: SystemUnderTest
    accepted: dict[UUID, UUID]

    async def broken(self, evidence: Evidence | None = None) -> list[str]:
        """The violations that the checker finds."""
        snapshot = await check(self.system.database_urls, self.system.dana, evidence)
        return [*snapshot.broken, *snapshot.pending]

    @asynccontextmanager
    async def changed(self, where: str, change: str) -> AsyncIterator[None]:
        """Changes a table (`service.table`) behind the service's back, and restores it after the block."""
        service, table = where.split(".")
        async with connected(self.system.database_urls[service]) as connection:
            await connection.execute("set session_replication_role = replica")  # without foreign keys and guards
            await connection.execute(f"create temp table kept as table {table}")
            await connection.execute(change)
            yield
            async with connection.transaction():
                await connection.execute(f"delete from {table}")  # noqa: S608 (a name in a test)
                await connection.execute(f"insert into {table} overriding system value table kept")


@pytest.fixture(scope="module")
async def ran(tmp_path_factory: pytest.TempPathFactory, embedded_databases: Databases) -> AsyncIterator[Ran]:
    """Four orders: one cancelled to Lazada Credit, one to DANA, one for the silence of its seller, one shipped."""
    # Refunds waits so long that it calls DANA once for each payment, on a busy machine too.
    folder = tmp_path_factory.mktemp("ran")
    async with embedded_databases.of_a_system() as url, embedded(folder, url, dana_timeout=30) as running:
        yield Ran(running, await _live(running))


async def _live(base: SystemUnderTest) -> dict[UUID, UUID]:
    seller = Seller.signed(base.http, base.keys, "seller")
    buyer, rani = (Buyer.signed(base.http, base.keys, "buyer") for _ in range(2))
    await rani.link_dana()
    product = await seller.offer(stock=10)
    agent = Agent.signed(base.http, base.keys, "agent")
    accepted = {}
    for person in (buyer, rani):
        order_id = await person.buy(product)
        answer = (await person.cancel(order_id)).json()
        accepted[UUID(order_id)] = UUID(answer["cancellation"]["cancellation_id"])
        await person.refund(order_id)
    shipped, silent = await buyer.buy(product), await buyer.buy(product)
    await seller.done(shipped, "pack", "ship", "deliver")
    await agent.duty()
    await contacted(buyer, [agent], seller, silent)
    await base.advance(timedelta(hours=24, seconds=1))
    await buyer.refund(silent)
    await base.settled(evidence=Evidence())
    return accepted


async def test_nothing_is_wrong(ran: Ran) -> None:
    """A correct system violates no invariant, with every kind of evidence."""
    assert await ran.broken(Evidence(ran.accepted, injected=())) == []


BREAKS = {
    "refunds.ledger_entries": {
        "a ledger transaction does not sum to zero": (
            "update ledger_entries set amount = amount + 1 where account = 'lazada_credit'",
            "entries, which sum to 1",
        ),
        "money went to another account": (
            "update ledger_entries set buyer_id = 'ffffffff-ffff-4fff-bfff-ffffffffffff', amount = -amount where "
            "account = 'lazada_credit'",
            "account lazada_credit of buyer ffffffff",
        ),
    },
    "refunds.refunds": {
        "a refund of another amount": (
            "update refunds set amount = amount + 5 where destination = 'lazada_credit'",
            "1 refunds, 0 of its full amount",
        ),
        "no refund for a cancelled order": (
            "update refunds set cancellation_id = gen_random_uuid() where destination = 'dana'",
            "has 0 refunds",
        ),
        "a refund that is not in the ledger": (
            "update refunds set state = 'sending' where destination = 'dana'",
            "is sending, but the ledger disagrees",
        ),
        "another payment at DANA": (
            "update refunds set refund_id = gen_random_uuid() where destination = 'dana'",
            "but should not have",
        ),
        "DANA was called more often than decided": (
            "update refunds set attempts = 0 where destination = 'dana'",
            "1 times, but the refund decided on 0",
        ),
    },
    "orders.order_history": {
        "shipped and cancelled": (
            "insert into order_history select order_id, version + 1, 'shipped', clock_now() from orders where "
            "status = 'cancelled'",
            "is cancelled, and has shipped",
        ),
    },
    "orders.orders": {
        "a version that jumps": (
            "update orders set version = version + 1 where status = 'delivered'",
            "is impossible",
        ),
        "a cancelled order without a cancellation": (
            "update orders set status = 'cancelled' where status = 'delivered'",
            "cancelled without a cancellation, or the other way round",
        ),
        "an unpaid order that holds its stock for ever": (
            "update orders set status = 'unpaid' where status = 'delivered'",
            "is not paid and does not expire",
        ),
    },
    "orders.cancellations": {
        "a paid order that expired": (
            "update cancellations set channel = 'system', reason = 'not_paid' where channel = 'cs'",
            "was cancelled because it was not paid, and is paid",
        ),
        "cancelled for silence before the time": (
            "update cancellations set at = at - interval '1 hour' where channel = 'cs'",
            "was cancelled at",
        ),
        "a refund that an order does not show": (
            "update cancellations set refund_state = 'sending' where destination = 'dana'",
            "orders does not know the refund of order",
        ),
    },
    "orders.products": {
        "a piece of stock is gone": (
            "update products set stock = stock - 1 where offered = 10",
            "10 were offered, 8 are left, 1 are ordered",
        ),
    },
    "chat.messages": {
        "a gap in a thread": (
            "update messages set seq = seq + 10",
            "messages, but its last number is",
        ),
    },
    "cs.messages": {
        "news told twice": (
            "update messages set code = 'refund_issued', data = '{\"refund_id\": \"x\"}' "
            "where code in ('agent_joined', 'order_handed_over')",
            "has refund_issued 2 times for one event",
        ),
        "a seller found silent too early": (
            "update messages set at = at - interval '1 hour' where code = 'seller_silent'",
            "counts its seller as silent at",
        ),
        "a deadline that fired after it was called off": (
            "update messages set code = 'order_packed' where code = 'seller_contacted'",
            "silent twice, or after the call-off",
        ),
    },
    "refunds.inbox": {
        "an event that had no effect": (
            "delete from inbox where event_id = (select event_id from inbox limit 1)",
            "refunds still has to consume 1 of at least {all} events",
        ),
        "an event that had two effects": (
            "insert into inbox values (gen_random_uuid())",
            "refunds consumed {more} events, but only {all} cancel an order",
        ),
    },
    "chat.orders_known": {
        "an order that chat has missed": (
            "update orders_known set status_rank = 1 where status_rank = 4",
            "'processing'",
        ),
    },
    "cs.accounts": {
        "a name that customer service does not know": (
            "update accounts set name = name || '?'",
            "cs has account",
        ),
    },
    "cs.deadlines": {
        "a deadline that no service fires": (
            "insert into deadlines values ('lost', '1', now() - interval '1 hour', 0, gen_random_uuid(), "
            "gen_random_uuid(), '')",
            "deadlines that are overdue",
        ),
    },
}
"""By service and table: what is wrong, the change that makes it so, and words of the checker."""


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [pytest.param(table, *case, id=what) for table, cases in BREAKS.items() for what, case in cases.items()],
)
async def test_broken_by_hand(ran: Ran, table: str, change: str, words: str) -> None:
    """The checker names what is wrong in a table."""
    consumed = await ran.system.count("refunds", "inbox")  # a request that was repeated is answered again
    words = words.replace("{all}", str(consumed)).replace("{more}", str(consumed + 1))
    async with ran.changed(table, change):
        said = await ran.broken()
    assert [one for one in said if words in one], said


async def test_guard_of_the_ledger_off(ran: Ran) -> None:
    """The checker names a trigger of the ledger that is off."""
    async with connected(ran.system.database_urls["refunds"]) as connection:
        await connection.execute("alter table ledger_entries disable trigger ledger_append_only")
        said = await ran.broken()
        await connection.execute("alter table ledger_entries enable trigger ledger_append_only")
    assert said == ["the guard ledger_append_only of ledger_entries is off"]


async def test_forgotten_cancellation(ran: Ran) -> None:
    """A cancellation that a client got an answer for and that is not in the store is named."""
    order_id = uuid4()
    (said,) = await ran.broken(Evidence({**ran.accepted, order_id: uuid4()}))
    assert str(order_id) in said


async def test_parked_by_itself(ran: Ran) -> None:
    """A message that is parked is wrong, unless it was put on the bus on purpose."""
    change = (
        "insert into parked (parked_id, routing_key, body, size, digest, error) "
        "values (gen_random_uuid(), 'orders.OrderPaid', '', 8, sha256('no event'), 'not JSON')"
    )
    async with ran.changed("chat.parked", change):
        (said,) = await ran.broken(Evidence(injected=()))
        assert "chat has parked orders.OrderPaid" in said
        assert await ran.broken(Evidence(injected={hashlib.sha256(b"no event").digest()})) == []


async def test_everything_is_restored(ran: Ran) -> None:
    """After each repair the checker finds nothing."""
    assert await ran.broken() == []


async def test_command(ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`batalkan check` reports it with its exit code and in JSON, also for a client's log."""
    for name, url in ran.system.database_urls.items():
        monkeypatch.setenv(f"{name.upper()}_DATABASE_URL", url)
    log = tmp_path / "accepted.jsonl"
    lines = [{"order_id": str(one), "cancellation_id": str(other)} for one, other in ran.accepted.items()]
    log.write_text("\n".join(map(json.dumps, lines)))
    command = ["check", "--json", "--at-rest", "--accepted", str(log)]
    good = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert (good.exit_code, json.loads(good.stdout)["ok"]) == (0, True)
    log.write_text(json.dumps({"order_id": str(uuid4()), "cancellation_id": str(uuid4())}))
    bad = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert (bad.exit_code, len(json.loads(bad.stdout)["broken"])) == (1, 1)
    log.write_text("{}")
    assert (await asyncio.to_thread(CliRunner().invoke, app, command)).exit_code == 1
