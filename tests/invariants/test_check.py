"""Each invariant, broken by hand in the stores of a system that ran: the checker names it, and nothing else."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch
from uuid import UUID, uuid4

import httpx
import pytest
from argon2 import PasswordHasher
from typer.testing import CliRunner

from batalkan import system
from batalkan.cli import app
from batalkan.invariants import Evidence, check
from batalkan.system import System, Where
from lab.faults.system import no_bus
from tests.harness.actors import Buyer, Person, Seller
from tests.harness.customer_service import contacted
from tests.harness.system import SystemUnderTest

pytestmark = pytest.mark.timeout(300)  # all of a system is started, once

NO_TRIGGERS = "set session_replication_role = replica"
"""Switches the guards of the ledger off."""


@dataclass(frozen=True)
class Ran:
    """A system in which something has happened, at rest, and the cancellations whose acceptance the buyers received."""

    system: System
    accepted: dict[UUID, UUID]

    async def broken(self, evidence: Evidence | None = None) -> list[str]:
        """The violations that the checker finds."""
        snapshot = await check(self.system.database_urls, self.system.dana, evidence)
        return [*snapshot.broken, *snapshot.pending]

    async def run(self, service: str, *statements: str) -> None:
        """Changes the store behind the service's back."""
        async with self.system.services[service].uow.database.connection() as connection:
            for statement in (NO_TRIGGERS, *statements, "reset session_replication_role"):
                await connection.execute(statement)


@pytest.fixture(scope="module")
async def ran(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ran]:
    """Four orders: one cancelled to Lazada Credit, one to DANA, one for the silence of its seller, one shipped."""
    folder = tmp_path_factory.mktemp("ran")
    where = Where(folder, settling=0.1)
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # what real ones cost is not what this is about
    hashing = patch("services.accounts.passwords.PasswordHasher", lambda: quick)
    with hashing:
        async with system.running(where) as running:
            transport = httpx.ASGITransport(running.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                base = SystemUnderTest(http, running.dana, running.database_urls, no_bus, running.keys, full=False)
                yield Ran(running, await _live(base))


async def _live(base: SystemUnderTest) -> dict[UUID, UUID]:
    seller = Seller.signed(base.http, base.keys, "seller")
    buyer, rani = (Buyer.signed(base.http, base.keys, "buyer") for _ in range(2))
    await rani.link_dana()
    product = await seller.offer(stock=10)
    agent = Person.signed(base.http, base.keys, "agent")
    accepted = {}
    for person in (buyer, rani):
        order_id = await person.buy(product)
        answer = (await person.cancel(order_id)).json()
        accepted[UUID(order_id)] = UUID(answer["cancellation"]["cancellation_id"])
        await person.refund(order_id)
    shipped, silent = await buyer.buy(product), await buyer.buy(product)
    await seller.done(shipped, "pack", "ship", "deliver")
    (await agent.ask("PUT", "/cs/duty", {"on": True})).raise_for_status()
    await contacted(buyer, [agent], seller, silent)
    await base.advance(timedelta(hours=24, seconds=1))
    await buyer.refund(silent)
    await base.settled(evidence=Evidence())
    return accepted


async def test_nothing_is_wrong(ran: Ran) -> None:
    """A correct system violates no invariant, with every kind of evidence."""
    assert await ran.broken(Evidence(ran.accepted, injected=())) == []


BREAKS = {
    "a ledger transaction does not sum to zero": (
        "refunds",
        "update ledger_entries set amount = amount + 1 where account = 'lazada_credit'",
        "update ledger_entries set amount = amount - 1 where account = 'lazada_credit'",
        "entries, which sum to 1",
    ),
    "money went to another account": (
        "refunds",
        "update ledger_entries set buyer_id = 'ffffffff-ffff-4fff-bfff-ffffffffffff', amount = -amount "
        "where account = 'lazada_credit'",
        "update ledger_entries e set buyer_id = r.buyer_id, amount = -e.amount from ledger_transactions t "
        "join refunds r using (refund_id) where t.transaction_id = e.transaction_id and account = 'lazada_credit'",
        "account lazada_credit of buyer ffffffff",
    ),
    "the guard of the ledger is off": (
        "refunds",
        "alter table ledger_entries disable trigger ledger_append_only",
        "alter table ledger_entries enable trigger ledger_append_only",
        "the guard ledger_append_only of ledger_entries is off",
    ),
    "a refund of another amount": (
        "refunds",
        "update refunds set amount = amount + 5 where destination = 'lazada_credit'",
        "update refunds set amount = amount - 5 where destination = 'lazada_credit'",
        "1 refunds, 0 of its full amount",
    ),
    "no refund for a cancelled order": (
        "refunds",
        "update refunds set cancellation_id = overlay(cancellation_id::text placing 'ffff' from 1)::uuid, "
        "phone = cancellation_id::text where destination = 'dana'",
        "update refunds set cancellation_id = phone::uuid where destination = 'dana'",
        "has 0 refunds",
    ),
    "a refund that is not in the ledger": (
        "refunds",
        "update refunds set state = 'sending' where destination = 'dana'",
        "update refunds set state = 'issued' where destination = 'dana'",
        "is sending, but the ledger disagrees",
    ),
    "another payment at DANA": (
        "refunds",
        "update refunds set refund_id = overlay(refund_id::text placing 'ffff' from 1)::uuid "
        "where destination = 'dana'",
        "update refunds r set refund_id = t.refund_id from ledger_transactions t "
        "where r.destination = 'dana' and t.kind = 'settle'",
        "but should not have",
    ),
    "DANA was called more often than decided": (
        "refunds",
        "update refunds set attempts = 0 where destination = 'dana'",
        "update refunds set attempts = 1 where destination = 'dana'",
        "1 times, but the refund decided on 0",
    ),
    "shipped and cancelled": (
        "orders",
        "insert into order_history select order_id, version + 1, 'shipped', clock_now() from orders "
        "where status = 'cancelled'",
        "delete from order_history h using orders o where o.order_id = h.order_id and h.version > o.version",
        "is cancelled, and has shipped",
    ),
    "a version that jumps": (
        "orders",
        "update orders set version = version + 1 where status = 'delivered'",
        "update orders set version = version - 1 where status = 'delivered'",
        "is impossible",
    ),
    "a cancelled order without a cancellation": (
        "orders",
        "update orders set status = 'cancelled' where status = 'delivered'",
        "update orders set status = 'delivered' where version = 5",
        "cancelled without a cancellation, or the other way round",
    ),
    "an unpaid order that holds its stock for ever": (
        "orders",
        "update orders set status = 'unpaid' where status = 'delivered'",
        "update orders set status = 'delivered' where version = 5",
        "is not paid and does not expire",
    ),
    "a paid order that expired": (
        "orders",
        "update cancellations set channel = 'system', reason = 'not_paid' where channel = 'cs'",
        "update cancellations set channel = 'cs', reason = null where channel = 'system'",
        "was cancelled because it was not paid, and is paid",
    ),
    "a piece of stock is gone": (
        "orders",
        "update products set stock = stock - 1 where offered = 10",
        "update products set stock = stock + 1 where offered = 10",
        "10 were offered, 8 are left, 1 are ordered",
    ),
    "a gap in a thread": (
        "chat",
        "update messages set seq = seq + 10",
        "update messages set seq = seq - 10",
        "messages, but its last number is",
    ),
    "news told twice": (
        "cs",
        "update messages set code = 'refund_issued', data = '{\"refund_id\": \"x\"}' "
        "where code in ('agent_joined', 'order_handed_over')",
        "update messages set code = case text when 'Pembeli menyerahkan data pesanan.' then 'order_handed_over' "
        "else 'agent_joined' end where data ->> 'refund_id' = 'x'",
        "has refund_issued 2 times for one event",
    ),
    "an event that had no effect": (
        "refunds",
        "create table kept as select * from inbox limit 1; delete from inbox using kept "
        "where inbox.event_id = kept.event_id",
        "insert into inbox table kept; drop table kept",
        "refunds still has to consume 1 of at least 3 events",
    ),
    "an event that had two effects": (
        "refunds",
        "insert into inbox values ('ffffffff-ffff-4fff-bfff-ffffffffffff')",
        "delete from inbox where event_id = 'ffffffff-ffff-4fff-bfff-ffffffffffff'",
        "refunds consumed 4 events, but only 3 cancel an order",
    ),
    "an order that chat has missed": (
        "chat",
        "update orders_known set status_rank = 1 where status_rank = 4",
        "update orders_known set status_rank = 4 where status_rank = 1",
        "'processing'",
    ),
    "a refund that an order does not show": (
        "orders",
        "update order_refunds set state = 'sending' where destination = 'dana'",
        "update order_refunds set state = 'issued' where destination = 'dana'",
        "orders does not know the refund of order",
    ),
    "a name that customer service has not heard": (
        "cs",
        "update accounts set name = name || '?'",
        "update accounts set name = left(name, -1)",
        "cs has account",
    ),
    "a seller found silent too early": (
        "cs",
        "update messages set at = at - interval '1 hour' where code = 'seller_silent'",
        "update messages set at = at + interval '1 hour' where code = 'seller_silent'",
        "counts its seller as silent at",
    ),
    "a deadline that fired after it was called off": (
        "cs",
        "update messages set code = 'order_packed' where code = 'seller_contacted'",
        "update messages set code = 'seller_contacted' where code = 'order_packed'",
        "silent twice, or after the call-off",
    ),
    "cancelled for silence before the time": (
        "orders",
        "update cancellations set at = at - interval '1 hour' where channel = 'cs'",
        "update cancellations set at = at + interval '1 hour' where channel = 'cs'",
        "was cancelled at",
    ),
    "a deadline that no service fires": (
        "cs",
        "insert into deadlines values ('lost', '1', now() - interval '1 hour', 0, gen_random_uuid(), "
        "gen_random_uuid(), '')",
        "delete from deadlines where kind = 'lost'",
        "deadlines that are overdue",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
async def test_broken_by_hand(ran: Ran, what: str) -> None:
    """The checker names what is wrong, and nothing after the repair."""
    service, wrong, mend, words = BREAKS[what]
    await ran.run(service, *wrong.split("; "))
    try:
        said = await ran.broken()
    finally:
        await ran.run(service, *mend.split("; "))
    assert [one for one in said if words in one], said
    assert await ran.broken() == []


async def test_forgotten_cancellation(ran: Ran) -> None:
    """A cancellation that a client got an answer for and that is not in the store is named."""
    order_id = uuid4()
    (said,) = await ran.broken(Evidence({**ran.accepted, order_id: uuid4()}))
    assert str(order_id) in said


async def test_parked_by_itself(ran: Ran) -> None:
    """A message that is parked is wrong, unless it was put on the bus on purpose."""
    digest = hashlib.sha256(b"no event").digest()
    await ran.run(
        "chat",
        "insert into parked (parked_id, routing_key, body, size, digest, error) "
        "values (gen_random_uuid(), 'orders.OrderPaid', '', 8, sha256('no event'), 'not JSON')",
    )
    try:
        (said,) = await ran.broken(Evidence(injected=()))
        assert "chat has parked orders.OrderPaid" in said
        assert await ran.broken(Evidence(injected={digest})) == []
    finally:
        await ran.run("chat", "delete from parked")


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
