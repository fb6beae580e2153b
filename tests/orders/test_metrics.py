"""The metrics of `orders`: cancellations without money."""

from runtime.storage.database import Database
from services.orders.main import SPEC
from services.orders.metrics import without_money
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
ARRIVED = "update cancellations set said_at = null where order_id = md5($1)::uuid"


async def test_cancellations_without_money(embedded_databases: Databases) -> None:
    """A paid cancellation counts from its sixth second until its refund is issued, however old it is, and also if it is
    committed late; one without money due, or of this moment, never does."""
    async with embedded_databases.lent() as databases:
        database = Database(await databases.migrated("orders", SPEC.migrations))
        await database.connect()

        async def now() -> tuple[int, int]:
            ((missing, age),) = await without_money(database)
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
        await run("update cancellations set at = at - interval '300 s'")
        await run(CANCELLED, "late, too", 20.0, True)
        ((missing, age),) = await without_money(database)
        assert (missing, round(age / 10) * 10) == (3, 320)
        for one in ("late", "just now", "late, too"):
            await run(ARRIVED, one)
        assert await now() == (0, 0)
        await database.close()
