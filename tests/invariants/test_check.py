"""Each invariant, broken by hand in the stores of a system that ran: the checker names it, and nothing else."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from typer.testing import CliRunner

from batalkan.cli import app
from batalkan.invariants import Evidence, check
from batalkan.operate import connected
from tests.conftest import Databases
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import contacted
from tests.harness.system import SystemUnderTest, embedded
from tests.invariants.breaks import BREAKS
from tests.machine.test_gateway import listening

pytestmark = pytest.mark.timeout(300)  # all of a system is started, once


COLUMNS = """
select string_agg(quote_ident(attname), ', ') from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''
"""


@dataclass(frozen=True)
class Ran:
    """A system in which something has happened, at rest, and the cancellations and parts whose acceptance the buyers
    received."""

    system: SystemUnderTest
    accepted: dict[UUID, UUID]
    parts: dict[UUID, UUID]

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
            columns = await connection.fetchval(COLUMNS, table)
            await connection.execute(change)
            yield
            async with connection.transaction():
                await connection.execute(f"delete from {table}")  # noqa: S608 (a name in a test)
                rows = f"select {columns} from kept"  # noqa: S608
                await connection.execute(f"insert into {table} ({columns}) overriding system value {rows}")


@pytest.fixture(scope="module")
async def ran(tmp_path_factory: pytest.TempPathFactory, embedded_databases: Databases) -> AsyncIterator[Ran]:
    """Five orders: one cancelled to Lazada Credit, one to DANA, one for the silence of its seller, one shipped, and one
    with a voucher of which a part is cancelled."""
    # Refunds waits so long that it calls DANA once for each payment, on a busy machine too.
    folder = tmp_path_factory.mktemp("ran")
    async with embedded_databases.of_a_system() as url, embedded(folder, url, dana_timeout=30) as running:
        yield Ran(running, *await _live(running))


async def _live(base: SystemUnderTest) -> tuple[dict[UUID, UUID], dict[UUID, UUID]]:
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
    await seller.send("/orders/vouchers", code="HEMAT", amount=10_007, minimum=0, uses=2)
    product = await seller.offer(price=63_001, stock=20)
    lines = [{"product_id": product, "quantity": 3}]
    part = (await buyer.send("/orders", lines=lines, payment_method="dana", voucher="HEMAT"))["order_id"]
    (await buyer.move(part, "pay")).raise_for_status()
    [cancellation] = (await buyer.cancel_pieces(part, product, 2)).json()["cancellations"]
    await base.settled(evidence=Evidence())
    return accepted, {UUID(cancellation["cancellation_id"]): UUID(part)}


async def test_nothing_is_wrong(ran: Ran) -> None:
    """A correct system violates no invariant, with every kind of evidence."""
    assert await ran.broken(Evidence(ran.accepted, injected=(), parts=ran.parts)) == []


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
    for cancellation_id in (uuid4(), *ran.parts, *ran.accepted.values()):
        (said,) = await ran.broken(Evidence(ran.accepted, parts={cancellation_id: order_id}))
        assert said.startswith(f"of order {order_id} a part was cancelled")


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


@pytest.mark.parametrize("forged", [False, True])
async def test_a_parked_event_is_not_in_flight(ran: Ran, forged: bool) -> None:
    """An event without effect that is parked is not waited for; a message under an invented id is no such event."""
    async with connected(ran.system.database_urls["chat"]) as connection:
        event_id = await connection.fetchval("select event_id from inbox limit 1")
    parked = (
        "insert into parked (parked_id, event_id, routing_key, body, size, digest, error) values "  # noqa: S608
        f"(gen_random_uuid(), '{uuid4() if forged else event_id}', 'orders.OrderPaid', '', 0, sha256(''), 'not JSON')"
    )
    missing = f"delete from inbox where event_id = '{event_id}'"  # noqa: S608
    async with ran.changed("chat.inbox", missing), ran.changed("chat.parked", parked):
        assert [one for one in await ran.broken() if "still has to consume" in one] == (
            [f"chat still has to consume 1 of {await ran.system.count('chat', 'inbox') + 1} events"] if forged else []
        )


async def test_everything_is_restored(ran: Ran) -> None:
    """After each repair the checker finds nothing."""
    assert await ran.broken() == []


async def test_command(ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`batalkan check` reports it with its exit code and in JSON, also for a client's log."""
    for name, url in ran.system.database_urls.items():
        monkeypatch.setenv(f"{name.upper()}_DATABASE_URL", url)
    log = tmp_path / "accepted.jsonl"
    ids = [*ran.accepted.items(), *((order_id, part) for part, order_id in ran.parts.items())]
    lines = [{"order_id": str(one), "cancellation_id": str(other), "part": other in ran.parts} for one, other in ids]
    log.write_text("\n".join(map(json.dumps, lines)))
    command = ["check", "--json", "--at-rest", "--accepted", str(log)]
    good = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert (good.exit_code, json.loads(good.stdout)["ok"]) == (0, True)
    log.write_text(json.dumps({"order_id": str(uuid4()), "cancellation_id": str(uuid4())}))
    bad = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert (bad.exit_code, len(json.loads(bad.stdout)["broken"])) == (1, 1)
    log.write_text("{}")
    assert (await asyncio.to_thread(CliRunner().invoke, app, command)).exit_code == 1


NOT_OURS = {"no server": None, "empty": Response(), "404": PlainTextResponse("no", 404)}
NOT_JOURNALS = {**NOT_OURS, "no items": JSONResponse({}), "a list": JSONResponse([])}


async def refused(call: str, answer: Response | None, env: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and complaint of a command that is given the origin of a server which answers that."""
    async with listening(answer or Response()) as address:
        command = [*call.split(), f"http://{address if answer else '127.0.0.1:1'}"]
        result = await asyncio.to_thread(CliRunner().invoke, app, command, env=env)
    assert isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


@pytest.mark.parametrize("answer", NOT_JOURNALS.values(), ids=NOT_JOURNALS.keys())
async def test_a_journal_that_cannot_be_read_is_no_broken_invariant(ran: Ran, answer: Response | None) -> None:
    """Where no DANA in demonstration mode answers, the call was wrong."""
    env = {f"{name.upper()}_DATABASE_URL": url for name, url in ran.system.database_urls.items()}
    code, said = await refused("check --dana", answer, env)
    assert (code, "DANA's journal" in said) == (2, True)


@pytest.mark.parametrize("answer", NOT_OURS.values(), ids=NOT_OURS.keys())
async def test_the_load_test_names_the_request_that_failed(answer: Response | None) -> None:
    """Where no service of ours answers."""
    code, said = await refused("load --url", answer, {})
    assert (code, "batalkan: POST /accounts: " in said) == (1, True)
