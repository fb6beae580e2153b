"""The metrics of `refunds`: its money on the way, and the ledger."""

from uuid import UUID, uuid4

import pytest

from runtime.messaging.samples import query
from runtime.observability.trace_context import new_id
from runtime.storage.database import Database
from services.refunds import metrics
from services.refunds.main import SPEC
from tests.conftest import Databases

REFUND = """
insert into refunds (refund_id, cancellation_id, order_id, buyer_id, amount, destination, state, uncertain, opened_at)
values ($1, gen_random_uuid(), gen_random_uuid(), $1, 5000, 'dana', $2, $3, clock_now() - interval '90 seconds')
"""


async def post(database: Database, *amounts: int) -> UUID:
    """A transaction of the ledger with these entries."""
    refund_id = uuid4()
    async with database.transaction() as connection:
        await connection.execute(REFUND, refund_id, "issued", False)
        await connection.execute(
            "insert into ledger_transactions (transaction_id, refund_id, kind) values ($1, $2, 'credit')",
            transaction_id := new_id(),
            refund_id,
        )
        for account, amount in zip(("cancelled_orders", "lazada_credit"), amounts, strict=False):
            await connection.execute(
                "insert into ledger_entries (transaction_id, account, buyer_id, amount) values ($1, $2, $1, $3)",
                *(transaction_id, account, amount),
            )
    return transaction_id


async def test_the_ledger_is_read_once_and_in_parts(
    embedded_databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sums are those of all entries that are old enough; nothing is said before the end is reached, and what does
    not sum to zero is seen."""
    monkeypatch.setattr(metrics, "CHUNK", 3)
    async with embedded_databases.lent() as databases:
        database = Database(await databases.migrated("refunds", SPEC.migrations))
        await database.connect()
        async with database.connection() as connection:
            await connection.execute("alter table ledger_entries disable trigger ledger_balances")
        ledger = metrics.Ledger(database)
        for _ in range(3):
            await post(database, -5000, 5000)
        assert await ledger.read() == []  # none is old enough
        monkeypatch.setattr(metrics, "SETTLED", -1)
        assert await ledger.read() == []  # the first two, of three
        assert dict(await ledger.read()) == {"cancelled_orders": -15000, "lazada_credit": 15000}
        assert dict(await ledger.read()) == {"cancelled_orders": -15000, "lazada_credit": 15000}
        await post(database, -5000, 4999)
        await post(database, -5000)
        assert await ledger.read() == []
        assert dict(await ledger.read()) == {"cancelled_orders": -25000, "lazada_credit": 19999}
        await database.close()


async def test_refunds_on_their_way(embedded_databases: Databases) -> None:
    """Refunds that are not issued are counted by state, with the age of the oldest; 0 where there is none."""
    async with embedded_databases.lent() as databases:
        database = Database(await databases.migrated("refunds", SPEC.migrations))
        await database.connect()
        states = query(database, metrics.STATES)
        assert sorted(await states()) == [("pending", 0, 0.0), ("sending", 0, 0.0)]
        async with database.connection() as connection:
            for state, uncertain in (("sending", True), ("sending", False), ("issued", True)):
                await connection.execute(REFUND, uuid4(), state, uncertain)
        pending, (_, sending, age) = sorted(await states())
        assert pending == ("pending", 0, 0.0)
        assert sending == 2
        assert 90 <= age < 120
        assert await query(database, metrics.CALLS)() == [(1,)]
        await database.close()
