"""A service that restarts loses nothing and does nothing twice."""

import asyncio
from collections import Counter

import pytest

from batalkan.keys import Keys
from contracts.orders import OrderPaid
from runtime.messaging import deadlines
from runtime.observability.trace_context import new_id
from runtime.storage.database import connect
from services.cs.cases import SELLER_SILENT
from tests.conftest import Databases
from tests.harness.cs import HOUR, MIGRATIONS, open_harness
from tests.harness.waiting import eventually

DUE = """
insert into cases (case_id, buyer_id, state, agent_id, order_id, contacted, respond_by, opened_at, spoken_at,
                   correlation_id, traceparent)
select gen_random_uuid(), gen_random_uuid(), 'awaiting_seller', gen_random_uuid(), o, array[o], clock_now(),
       clock_now(), clock_now(), gen_random_uuid(), '00-' || repeat('a', 32) || '-' || repeat('b', 16) || '-01'
from (select gen_random_uuid() as o from generate_series(1, $1)) as orders
"""
DEADLINES = """
insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent)
select $1, case_id::text, respond_by, correlation_id, correlation_id, traceparent from cases
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines are polled often, so that tests are quick."""
    monkeypatch.setattr(deadlines, "POLL", 0.02)


async def test_an_answer_that_waited_through_an_outage_counts(embedded_databases: Databases, keys: Keys) -> None:
    """A seller's answer from the 23rd hour that is still in the queue after a restart counts, though the deadlines are
    overdue and fire at once. The order of the silent seller is cancelled."""
    async with embedded_databases.lent() as databases:
        url = await databases.migrated("cs", MIGRATIONS)
        async with open_harness(databases, keys, url=url) as harness:
            saved, lost = await harness.contacted(), await harness.contacted()
            correlation_id = (await lost.seen())["correlation_id"]
        connection = await connect(url)
        await connection.execute("update clock set shift = interval '30 hours'")
        await connection.close()
        waiting = [harness.deliver(_other(), at=saved.respond_by - 2 * HOUR) for _ in range(400)]
        waiting.append(harness.deliver(saved.replied, at=saved.respond_by - HOUR))
        queued = [asyncio.create_task(one) for one in waiting]
        async with open_harness(databases, keys, url=url, publisher=harness.publisher, SETTLING="0.5") as later:
            request = await later.recorder.first("OrderCancelRequested", order_id=lost.order_id)
            await later.becomes(saved.case_id, "seller_replied")
            await later.becomes(lost.case_id, "resolved")
            assert not later.recorder.of_type("OrderCancelRequested", order_id=saved.order_id)
            assert request["correlationid"] == correlation_id
        await asyncio.gather(*queued)


def _other() -> OrderPaid:
    return OrderPaid(order_id=new_id(), buyer_id=new_id(), amount=1)


async def test_cases_and_agents_are_there_after_a_restart(embedded_databases: Databases, keys: Keys) -> None:
    """A restarted service finds its cases, their agents and the queue in the database."""
    async with embedded_databases.lent() as databases:
        url = await databases.migrated("cs", MIGRATIONS)
        async with open_harness(databases, keys, url=url) as harness:
            agent = await harness.agent_on_duty()
            cases = [await harness.buyer().open_case() for _ in range(5)]
            before = await harness.fetch("select case_id, state, agent_id, arrived from cases order by arrived")
        async with open_harness(databases, keys, url=url, publisher=harness.publisher) as later:
            assert await later.fetch("select case_id, state, agent_id, arrived from cases order by arrived") == before
            again = later.person("agent", agent.account_id, later.https[0])
            await again.send(f"/cs/cases/{cases[0]['case_id']}/close", outcome="answered")
            assert (await again.case(cases[3]["case_id"]))["agent_id"] == str(agent.account_id)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("many", [100, pytest.param(2_000, marks=pytest.mark.servers)])
async def test_deadlines_due_at_the_same_moment_fire_once_each(
    embedded_databases: Databases, keys: Keys, many: int
) -> None:
    """Three replicas, of which one dies, request each cancellation that is due once."""
    async with embedded_databases.lent() as databases, open_harness(databases, keys, replicas=3) as harness:
        harness.recorder.answers = False
        async with harness.service.uow.begin() as tx:
            await tx.connection.execute(DUE, many)
            await tx.connection.execute(DEADLINES, SELLER_SILENT)
        await eventually(
            lambda: harness.fetch("select count(*) from cases where state <> 'awaiting_seller'"), enough=any
        )
        await harness.runs[-1].aclose()
        async with asyncio.timeout(200):
            while len(harness.recorder.of_type("OrderCancelRequested")) < many:
                await asyncio.sleep(0.02)
        asked = Counter(event["subject"] for event in harness.recorder.of_type("OrderCancelRequested"))
        assert len(asked) == many
        assert set(asked.values()) == {1}
        assert await harness.fetch("select count(*) from deadlines where kind <> 'ask_again'") == [0]
        assert await harness.fetch("select count(*) from cases where cancellation_id is null") == [0]
