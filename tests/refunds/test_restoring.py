"""A database of refunds that is older than the last payments: `batalkan reconcile` compares it with orders and DANA."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from batalkan import reconciling
from batalkan.cli import app
from batalkan.invariants import Evidence
from batalkan.operate import connected, working
from contracts.words import Destination
from runtime.observability.trace_context import new_id
from runtime.storage.embedded import PACKAGE, PROGRAMS
from services import SERVICES
from services.orders.refund_reminders import AFTER, remind_once
from services.refunds import hold
from services.refunds.domain import DOUBT
from tests.conftest import Databases
from tests.harness.actors import Buyer, Seller
from tests.harness.publishing import publish_as
from tests.harness.refunds import RefundsSetup
from tests.harness.system import SystemUnderTest, embedded
from tests.harness.waiting import eventually

PRICE = 189_000
PAY, ASK = "38", "39"


def postgres(program: str, *arguments: str | Path) -> None:
    """Runs one of PostgreSQL's programs."""
    package = find_spec(PACKAGE)
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / PROGRAMS / "bin" / program
    subprocess.run([path, *arguments], check=True, capture_output=True)  # noqa: S603


@dataclass
class Marketplace:
    """All services, which stop and start on the databases that are there, and four buyers."""

    folder: Path
    databases: Databases

    def url(self, service: str) -> str:
        """The URL of a service's database."""
        return urlsplit(self.databases.admin_url)._replace(path=f"/{service}").geturl()

    async def back_up(self) -> None:
        """Backs up the database of refunds, while it is used."""
        await asyncio.to_thread(postgres, "pg_dump", "-Fc", "-f", self.folder / "refunds.dump", self.url("refunds"))

    async def restore(self) -> None:
        """Replaces the database of refunds by the backup."""
        await self.databases.admin("drop database refunds with (force)")
        await self.databases.admin("create database refunds template template0")
        await asyncio.to_thread(postgres, "pg_restore", "-d", self.url("refunds"), self.folder / "refunds.dump")

    async def batalkan(self, *command: str) -> tuple[int, str]:
        """Exit code and output of a command."""
        env = {f"{name.upper()}_DATABASE_URL": self.url(name) for name in SERVICES}
        done = await asyncio.to_thread(CliRunner().invoke, app, command, env=env, catch_exceptions=False)
        return done.exit_code, done.output


@pytest.fixture
async def marketplace(tmp_path: Path, embedded_databases: Databases) -> AsyncIterator[Marketplace]:
    """Its databases outlive a stop."""
    async with embedded_databases.of_a_system():
        yield Marketplace(tmp_path, embedded_databases)


async def called(system: SystemUnderTest, service: str) -> int:
    """How often DANA was called: 38 pays, 39 asks."""
    items = (await system.dana.get("/requests", params={"limit": 10_000})).json()["items"]
    return len([item for item in items if item["service"] == service])


async def cancelled(buyer: Buyer, product: str) -> str:
    """A paid order that its buyer has cancelled."""
    order_id = await buyer.buy(product)
    (await buyer.cancel(order_id)).raise_for_status()
    return order_id


async def weather(system: SystemUnderTest, mode: str) -> None:
    """Has DANA fail this way from now on."""
    (await system.dana.put("/faults", json={"mode": mode, "seconds": 5})).raise_for_status()


async def lived(marketplace: Marketplace, system: SystemUnderTest) -> tuple[tuple[Buyer, ...], list[str]]:
    """Refunds before the backup, under way at the backup, and after it. Returns the buyers, and the orders whose
    refund DANA has paid without an answer."""
    seller = Seller.signed(system.http, system.keys, "seller")
    people = linked, unlinked, links_later, unlinks_later = tuple(
        Buyer.signed(system.http, system.keys, "buyer") for _ in range(4)
    )
    product = await seller.offer()
    for buyer in (linked, unlinks_later):
        await buyer.link_dana()
    await linked.refund(await cancelled(linked, product))
    await weather(system, "throttle")
    under_way = [(buyer, await cancelled(buyer, product)) for buyer in (linked, unlinks_later)]
    for buyer, order_id in under_way:
        await buyer.refund(order_id, "sending")
    await marketplace.back_up()

    await unlinks_later.unlink_dana()
    await weather(system, "none")
    await links_later.link_dana()
    await system.advance(DOUBT)
    for buyer, order_id in [*under_way, (linked, await cancelled(linked, product))]:
        await buyer.refund(order_id)
    for buyer in (unlinked, unlinks_later):
        await buyer.refund(await cancelled(buyer, product))
    with patch("services.refunds.handlers.refund_id_of", lambda _: new_id()):  # as before refund ids were derived
        await linked.refund(await cancelled(linked, product))
    await weather(system, "drop_after")
    silent = [await cancelled(buyer, product) for buyer in (linked, links_later)]
    await eventually(system.dana_payments, enough=lambda payments: len(payments) == 6)
    await weather(system, "down")
    await linked.refund(await cancelled(linked, product), "sending")
    return people, silent


@pytest.mark.timeout(120)
async def test_a_restored_backup_that_is_older_than_the_last_payments(marketplace: Marketplace) -> None:
    """Nothing is paid until the reconciliation. Then every refund has arrived once: what DANA had paid is booked, lost
    credit is booked again, and the rest is paid."""
    async with embedded(marketplace.folder, marketplace.databases.admin_url) as system:
        people, silent = await lived(marketplace, system)
        [product] = {item["product_id"] for item in (await people[0].get("/orders"))["items"][0]["lines"]}
        credit = [await buyer.credit() for buyer in people]
        assert credit == [0, PRICE, 0, 2 * PRICE]
        assert len(await system.dana_payments()) == 6
    await marketplace.restore()
    async with connected(marketplace.url("orders")) as connection:  # it has missed the events of refunds
        await connection.execute(
            "update cancellations set refund_id = null, refund_state = null, said_at = clock_now() "
            "where order_id::text = any($1)",
            silent,
        )
    async with connected(marketplace.url("refunds")) as connection:
        assert await connection.fetchval("select count(*) from refunds") == 3
    async with embedded(marketplace.folder, marketplace.databases.admin_url) as system:
        _, unlinked, *_ = people = tuple(
            Buyer.signed(system.http, system.keys, "buyer", account_id=buyer.account_id) for buyer in people
        )
        await weather(system, "none")
        ready = (await system.http.get("/refunds/health/ready")).json()
        assert (ready["status"], ready["parts"]["payments"]) == ("ready", False)
        await cancelled(unlinked, product)
        await system.advance(DOUBT)
        async with working("orders", system.database_urls) as uow:
            await remind_once(uow, AFTER)
        await eventually(lambda: system.count("refunds", "refunds"), enough=lambda rows: rows == 7)
        assert [await buyer.credit() for buyer in people] == [0, 0, 0, 0]
        calls = await called(system, PAY)

        code, said = await marketplace.batalkan("reconcile")
        assert code == 0, said
        await system.advance(DOUBT)
        snapshot = await system.settled(evidence=Evidence())
        assert (snapshot.broken, snapshot.refunds) == ([], 11)
        assert [await buyer.credit() for buyer in people] == [0, 2 * PRICE, 0, 2 * PRICE]
        assert len(await system.dana_payments()) == 7
        assert await called(system, PAY) == calls + 1
        ready = (await system.http.get("/refunds/health/ready")).json()
        assert ready["parts"]["payments"]

        code, said = await marketplace.batalkan("reconcile")
        assert code == 0, said
        assert (await system.settled(evidence=Evidence())).accounts == snapshot.accounts


async def test_restored_files_are_declared(setup: RefundsSetup) -> None:
    """A database that PostgreSQL cannot tell from the original pays nothing once the hold is declared, also after a
    start; it consumes cancellations, publishes no delay, and pays when the hold ends."""
    async with setup.opened() as harness:
        buyer = await harness.buyer(linked=True)
        await buyer.refunded()
        await reconciling.hold({"refunds": setup.url})
    async with setup.opened() as harness:
        order_id = await buyer.cancel()
        await eventually(lambda: setup.dana.called(ASK))
        await harness.later(2 * DOUBT)
        await eventually(lambda: harness.fetch("select from refunds where not uncertain and state = 'sending'"))
        assert await setup.dana.called(PAY) == 1
        async with harness.service.uow.begin() as tx:
            await hold.end(tx)
        await harness.carry_on(order_id)
        assert setup.recorder.names(order_id) == ["RefundIssued"]
        assert await setup.dana.called(PAY) == 2
        await harness.agrees()


async def test_no_delay_is_published_of_a_refund_that_may_have_arrived(setup: RefundsSetup) -> None:
    """While a refund waits for the word of orders, on hold and after it, orders may know that it has arrived: what DANA
    does not answer is published as a delay neither way."""
    async with setup.opened() as harness:
        buyer = await harness.buyer(linked=True)
        setup.dana.fails("throttle")
        order_id = await buyer.cancel()
        await setup.recorder.wait_for(order_id, "RefundDelayed")
        await reconciling.hold({"refunds": setup.url})
        setup.dana.fails("down")
        for asked in range(1, 5):
            await harness.later(DOUBT)
            await eventually(partial(harness.fetch, "select from refunds where inquiries = $1", asked))
            if asked == 2:
                async with harness.service.uow.begin() as tx:
                    await hold.end(tx)
        setup.dana.fails()
        await harness.later(DOUBT)
        await setup.recorder.wait_for(order_id, "RefundIssued")
        assert setup.recorder.names(order_id) == ["RefundDelayed", "RefundIssued"]
        await harness.agrees()


async def test_a_payment_that_dana_denies_is_not_made_again(setup: RefundsSetup) -> None:
    """A refund that orders knows as paid, and neither refunds nor DANA, is asked about for ever and named."""
    async with setup.opened() as harness:
        buyer = await harness.buyer(linked=True)
        refund_id = new_id()
        known = {"refund_id": refund_id, "refunded_to": Destination.DANA}
        cancelled = buyer.cancelled().model_copy(update=known)
        await publish_as(setup.recorder.bus, "orders", cancelled)
        for asked in range(1, 4):
            await eventually(partial(harness.fetch, "select from refunds where inquiries = $1", asked))
            await harness.later(DOUBT)
        async with harness.service.uow.begin() as tx:
            found = await hold.outcome(tx)
        assert found == hold.Reconciled(paid=0, credited=0, open=1, disputed=[refund_id.hex])
        assert await setup.dana.called(PAY) == 0
        assert setup.recorder.names(str(cancelled.order_id)) == []
