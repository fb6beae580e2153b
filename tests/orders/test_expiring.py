"""Unpaid orders are cancelled automatically, so that they do not hold stock for ever."""

import asyncio
import random
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from batalkan.keys import Keys
from runtime.messaging.bus.memory import MemoryBus
from runtime.settings import Environment, SettingInvalid, Settings
from runtime.storage.database import Database, connect
from runtime.storage.schema import migrate
from services.orders import store
from services.orders.domain import Terms
from services.orders.handlers import DEADLINES
from services.orders.main import SPEC, build
from tests.conftest import Databases
from tests.harness.actors import assert_problem
from tests.harness.orders import OrdersHarness, Sale, open_harness
from tests.harness.waiting import becomes

HOUR = timedelta(hours=1)


async def test_an_unpaid_order_expires(harness: OrdersHarness) -> None:
    """When the time for paying is over: the order is cancelled by the system, its stock is back, its seller's score is
    as before, and paying comes too late."""
    sale = await harness.sold("unpaid")
    order = await sale.seen()
    assert datetime.fromisoformat(order["pay_by"]) == datetime.fromisoformat(order["placed_at"]) + HOUR
    await harness.later(seconds=3590)
    assert (await sale.seen())["status"] == "unpaid"
    await harness.later(seconds=11)
    event = await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    order = await sale.seen()
    cancellation = order["cancellation"]
    shown = {"cancellation_id": cancellation["cancellation_id"], "channel": "system", "fault": "none"}
    ids = {"buyer_id": str(sale.buyer.account_id), "seller_id": str(sale.seller.account_id)}
    unrefunded = {"refund_id": None, "refunded_to": None}
    assert event["data"] == {**shown, **ids, **unrefunded, "order_id": sale.order_id, "paid_amount": 0}
    assert cancellation.items() >= {**shown, "reason": "not_paid", "code": "already_cancelled"}.items()
    assert (order["status"], order["pay_by"], order["paid_amount"]) == ("cancelled", None, 0)
    assert [step["status"] for step in order["history"]] == ["unpaid", "cancelled"]
    [row] = await harness.fetch("select requested_by, role from cancellations where order_id = $1", sale.order_id)
    assert tuple(row) == (None, "system")
    assert await harness.stock(sale.product) == 10
    assert_problem(await sale.buyer.ask("POST", f"{sale.path}/pay"), 409, "not_paid")
    assert await sale.buyer.post(f"{sale.path}/cancel") == order
    score = await sale.buyer.get(f"/orders/sellers/{sale.seller.account_id}/score")
    assert (score["orders"], score["cancellations"]) == (0, {"seller": 0, "buyer": 0, "platform": 0})
    assert harness.recorder.names(sale.order_id) == ["OrderPlaced", "OrderCancelled"]


async def test_paid_and_cash_orders_do_not_expire(harness: OrdersHarness) -> None:
    """Paying and cancelling call the deadline off; cash on delivery has none."""
    paid, cancelled = await harness.sold(), await harness.sold("unpaid")
    await cancelled.buyer.post(f"{cancelled.path}/cancel")
    cash = await harness.order(paid.buyer, paid.product, method="cod")
    ids = [paid.order_id, cancelled.order_id, cash["order_id"]]
    assert (cash["pay_by"], (await paid.seen())["pay_by"]) == (None, None)
    assert await harness.fetch("select from deadlines where subject = any($1) and kind = 'pay_by'", ids) == []
    await harness.later(hours=2)
    statuses = [(await paid.buyer.get(f"/orders/{one}"))["status"] for one in (paid.order_id, cash["order_id"])]
    assert statuses == ["processing", "processing"]
    assert (await cancelled.seen())["cancellation"]["channel"] == "app"


async def test_the_end_of_an_order_calls_all_its_deadlines_off(harness: OrdersHarness) -> None:
    """Cancelling an order removes its deadlines of every kind."""
    sale = await harness.sold("unpaid")
    async with harness.service.uow.begin() as tx:
        for kind in DEADLINES:
            await tx.schedule(kind, sale.order_id, HOUR)
    await sale.buyer.post(f"{sale.path}/cancel")
    assert await harness.fetch("select from deadlines where subject = $1", sale.order_id) == []


async def test_paying_late_is_refused_before_the_cancellation(harness: OrdersHarness) -> None:
    """The time decides, and not whether the service has been there to act on it."""
    sale = await harness.sold("unpaid")
    await harness.fetch("delete from deadlines where subject = $1", sale.order_id)
    await harness.later(seconds=3601)
    assert_problem(await sale.buyer.ask("POST", f"{sale.path}/pay"), 409, "not_paid")
    assert (await sale.seen())["status"] == "unpaid"


async def test_an_order_without_a_time_gets_one(harness: OrdersHarness) -> None:
    """An order that a replica of an earlier version placed expires as well, once a new replica starts."""
    sale = await harness.sold("unpaid")
    await harness.fetch("delete from deadlines where subject = $1", sale.order_id)
    await harness.fetch("update orders set pay_by = null where order_id = $1", sale.order_id)
    for adopted in (1, 0):
        async with harness.service.uow.begin() as tx:
            assert await store.adopt(tx, Terms(HOUR, 72 * HOUR)) == adopted
    await harness.later(seconds=3601)
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    assert await harness.stock(sale.product) == 10


async def test_an_order_expires_though_the_service_was_down(embedded_databases: Databases, keys: Keys) -> None:
    """What expires while the service is down is cancelled at its next start, by the database's clock, which was moved
    meanwhile; how long there is to pay is a setting."""
    url = await embedded_databases.migrated("orders", SPEC.migrations)
    async with open_harness(url, keys, PAY_WITHIN="86400") as before:
        sale = await before.sold("unpaid")
        order = await sale.seen()
        assert order["pay_by"][:10] > order["placed_at"][:10]
    connection = await connect(url)
    await connection.execute("update clock set shift = interval '86400 seconds'")
    await connection.close()
    async with open_harness(url, keys, PAY_WITHIN="86400") as after:
        await after.recorder.wait_for(sale.order_id, "OrderCancelled")
        assert await after.stock(sale.product) == 10
    for harness in (before, after):
        await harness.service.uow.database.close()


async def test_orders_unpaid_before_the_upgrade_expire(embedded_databases: Databases, tmp_path: Path) -> None:
    """An hour after it; what was paid or is cash on delivery has three days to be shipped, cancellations keep their
    money and refund, and of them those count that did before and were paid for."""
    old = tmp_path / "migrations"
    shutil.copytree(SPEC.migrations, old)
    for newer in old.glob("000[4-9]*.py"):
        newer.unlink()
    database = Database(await embedded_databases.empty("orders"), pool_size=2)
    await database.connect()
    await migrate(database, old)
    async with database.transaction() as connection:
        for number, (status, method, paid) in enumerate(
            [("unpaid", "dana", 0), ("processing", "cod", 0), ("cancelled", "dana", 0), ("cancelled", "dana", 5)]
        ):
            await connection.execute(
                "insert into orders values ($1, $1, $1, $2, '[]', 5, $3, $4, clock_now() - interval '20 hours', 1)",
                UUID(int=number),
                status,
                method,
                paid,
            )
            if status == "cancelled":
                await connection.execute(
                    "insert into cancellations (order_id, cancellation_id, seller_id, channel, role, fault, at) "
                    "values ($1, $1, $1, 'app', 'buyer', 'buyer', clock_now())",
                    UUID(int=number),
                )
        await connection.execute("insert into order_refunds values ($1, $1, 'sending', 5, 'dana', 7)", UUID(int=3))
    await migrate(database, SPEC.migrations)
    async with database.transaction() as connection:
        waiting = await connection.fetch("select order_id, pay_by - clock_now() from orders where pay_by is not null")
        deadlines = await connection.fetch("select kind, subject::uuid, due_at - clock_now() from deadlines order by 1")
        made = await connection.fetch(
            "select order_id, scored, refund_amount, refund_id, refund_state, refund_sequence from cancellations "
            "order by 1"
        )
    await database.close()
    [(order_id, left)] = waiting
    assert order_id == UUID(int=0)
    assert HOUR - timedelta(minutes=1) < left <= HOUR
    to_ship = ("ship_by", UUID(int=1), left + timedelta(days=2) - HOUR)
    assert [tuple(row) for row in deadlines] == [("pay_by", order_id, left), to_ship]
    refund = (UUID(int=3), "sending", 7)
    assert [tuple(row) for row in made] == [(UUID(int=2), False, 0, None, None, None), (UUID(int=3), True, 5, *refund)]


async def test_paying_expiring_and_cancelling_at_once(harness: OrdersHarness, deadlocks: list[str]) -> None:
    """In the second in which their time ends orders are paid, cancelled by their buyers and sellers, or expire: each
    ends in one way, none is paid that expired, the stock is exact, and no transaction fails in a deadlock."""
    seller = harness.seller()
    products = [await harness.product(seller, stock=1000) for _ in range(3)]
    sales: list[Sale] = []
    for _ in range(12):
        buyer = harness.buyer()
        for _ in range(8):
            chosen = random.sample(products, 2)
            sales.append(Sale(buyer, seller, chosen[0], (await harness.order(buyer, *chosen))["order_id"]))
    await harness.fetch(
        "with soon as (update orders set pay_by = clock_now() + random() * interval '1 second' "
        "where seller_id = $1 returning order_id::text, pay_by) "
        "update deadlines set due_at = pay_by from soon where subject = order_id",
        seller.account_id,
    )

    async def act(sale: Sale) -> None:
        await asyncio.sleep(random.random() * 1.2)
        match random.randrange(3):
            case 0:
                answer = await sale.buyer.ask("POST", f"{sale.path}/pay")
                if answer.status_code != 200:
                    assert_problem(answer, 409, "not_paid")
            case 1:
                await sale.buyer.post(f"{sale.path}/cancel")
            case _:
                await harness.request(sale)

    await asyncio.gather(*map(act, sales))
    waiting = "select from orders where seller_id = $1 and pay_by is not null"
    await becomes(lambda: harness.fetch(waiting, seller.account_id), [])
    assert deadlocks == []
    rows = await harness.fetch(
        "select o.order_id::text, status, paid_amount, total, reason, "
        "(select count(*) from order_history h where h.order_id = o.order_id) as steps "
        "from orders o left join cancellations c using (order_id) where o.seller_id = $1",
        seller.account_id,
    )
    assert {(row["status"], row["paid_amount"] == row["total"], row["steps"]) for row in rows} <= {
        ("processing", True, 2),
        ("cancelled", False, 2),
        ("cancelled", True, 3),  # paid in time, and then cancelled
    }
    assert not [row for row in rows if row["reason"] == "not_paid" and row["paid_amount"]]
    assert {row["reason"] == "not_paid" for row in rows} == {True, False}
    for row in rows:
        if row["status"] == "cancelled":
            await harness.recorder.wait_for(row["order_id"], "OrderCancelled")
        assert harness.recorder.names(row["order_id"]).count("OrderCancelled") == (row["status"] == "cancelled")
    held = 2 * sum(row["status"] == "processing" for row in rows)
    assert sum([await harness.stock(product) for product in products]) == 3000 - held


@pytest.mark.parametrize("text", ["0", "86401", "1.5", "1h"])
async def test_an_invalid_time_to_pay_is_refused(text: str, tmp_path: Path) -> None:
    """`PAY_WITHIN` is whole seconds, at most a day."""
    env = Environment({"TOKEN_KEYS": str(tmp_path), "PAY_WITHIN": text})
    with pytest.raises(SettingInvalid, match=r"PAY_WITHIN: .* is not a whole number from 1 to 86400"):
        build(Settings.read("orders", env), env, "postgresql://", MemoryBus())
