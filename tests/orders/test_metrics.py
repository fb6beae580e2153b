"""The metrics of `orders`: cancellations without money."""

from runtime.storage.database import Database
from services.orders.main import SPEC
from services.orders.metrics import WithoutMoney
from tests.conftest import Databases

CANCELLED = """
with o as (
    insert into orders (order_id, buyer_id, seller_id, status, lines, total, payment_method, paid_amount, placed_at,
                        version)
    values (md5($1)::uuid, gen_random_uuid(), gen_random_uuid(), 'cancelled', '[]', 5, 'bank_transfer', 5, now(), 1)
    returning order_id, seller_id
)
insert into cancellations (order_id, cancellation_id, seller_id, channel, role, fault, at, said_at)
select order_id, gen_random_uuid(), seller_id, 'app', 'buyer', 'none', now() - $2::float8 * interval '1 second',
       case when $3 then now() - $2 * interval '1 second' end from o
"""
REFUNDED = "insert into order_refunds select md5($1)::uuid, gen_random_uuid(), $2, 5, 'dana', 1"


async def test_cancellations_without_money(embedded_databases: Databases) -> None:
    """A paid cancellation counts from its sixth second until its refund is issued, however old it is, and also if it is
    committed late; one without money due, or of this moment, never does."""
    async with embedded_databases.lent() as databases:
        database = Database(await databases.migrated("orders", SPEC.migrations))
        await database.connect()
        sampled = WithoutMoney(database)

        async def now() -> tuple[int, int]:
            ((missing, age),) = await sampled.read()
            return missing, round(age / 100) * 100

        async def run(statement: str, *arguments: object) -> None:
            async with database.connection() as connection:
                await connection.execute(statement, *arguments)

        assert await now() == (0, 0)
        await run(CANCELLED, "just now", 0.0, True)
        await run(CANCELLED, "unpaid", 20.0, False)
        assert await now() == (0, 0)
        await run(CANCELLED, "late", 20.0, True)
        assert (await now())[0] == 1
        await run(REFUNDED, "late", "sending")
        assert (await now())[0] == 1
        await run("update order_refunds set state = 'issued'")
        assert await now() == (0, 0)
        await run("update cancellations set at = at - interval '300 s', said_at = said_at - interval '300 s'")
        await run("delete from order_refunds")
        fresh = WithoutMoney(database)
        ((missing, age),) = await fresh.read()
        assert (missing, round(age / 10) * 10) == (2, 320)
        await run(REFUNDED, "late", "issued")
        await run(REFUNDED, "just now", "issued")
        assert await fresh.read() == [(0, 0.0)]
        await database.close()
