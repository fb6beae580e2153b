"""One order of locks: what happens to cases at the same time never deadlocks."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from runtime.storage.database import connect
from tests.harness.cs import CsHarness
from tests.harness.cs_actors import Contacted
from tests.harness.waiting import eventually

WAITING = "select count(*) from pg_locks where not granted"
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def held(harness: CsHarness, query: str) -> AsyncIterator[None]:
    """While the block lasts, another transaction holds these rows."""
    connection = await connect(harness.service.uow.database.url)
    async with connection.transaction():
        await connection.execute(query)
        yield
    await connection.close()


async def begin(harness: CsHarness, act: Awaitable[Any], waiting: int) -> "asyncio.Future[Any]":
    """Starts an act that has to wait; returns once so many wait in the database."""
    task = asyncio.ensure_future(act)
    await eventually(lambda: harness.fetch(WAITING), enough=lambda found: found[0] >= waiting)
    return task


async def reply(harness: CsHarness, case: Contacted) -> None:
    """The seller answers in the last second."""
    await harness.deliver(case.replied, at=case.respond_by - SECOND)


async def pack(harness: CsHarness, case: Contacted) -> None:
    """The seller packs the order in the last second."""
    at = case.respond_by - SECOND
    await harness.deliver(case.deal.moved("packed", at), at=at)


async def close(harness: CsHarness, case: Contacted) -> None:
    """The agent ends the case, if it is still with that agent and not over."""
    await case.agent.ask("POST", f"{case.path}/close", {"outcome": "withdrawn"})


async def write(harness: CsHarness, case: Contacted) -> None:
    """The buyer writes a message, if the case is not over."""
    await case.buyer.ask("POST", f"{case.path}/messages", json={"text": "Halo?"})


@pytest.mark.parametrize(("act", "table"), [(reply, "consumed_until"), (close, "cases")], ids=["reply", "close"])
async def test_a_deadline_and_what_calls_it_off_do_not_deadlock(
    harness: CsHarness, deadlocks: list[str], act: Callable[[CsHarness, Contacted], Awaitable[None]], table: str
) -> None:
    """An answer or a closing in the moment in which the 24 hours end is finished first; the deadline then finds nothing
    to do."""
    case = await harness.contacted()
    await harness.stand_still(case.respond_by)
    async with held(harness, f"select from {table} for update"):
        first = await begin(harness, act(harness, case), 1)
        second = await begin(harness, harness.fire(), 2)
    await asyncio.gather(first, second)
    assert deadlocks == []
    assert await harness.fetch("select count(*) from deadlines") == [0]
    assert not harness.recorder.of_type("OrderCancelRequested", order_id=case.order_id)


async def test_all_at_once_deadlocks_nowhere(harness: CsHarness, deadlocks: list[str]) -> None:
    """Deadlines, answers, parcels, agents who close, come and go, and buyers who write do not deadlock."""
    harness.cases.max_cases = 4
    cases = [await harness.contacted() for _ in range(12)]
    await harness.resume_clock(max(case.respond_by for case in cases))
    at_once: list[Awaitable[object]] = [harness.fire() for _ in range(12)]
    for case in cases:
        act = random.choice([reply, pack, close])
        at_once += [act(harness, case), write(harness, case), harness.buyer().open_case()]
        at_once += [case.agent.duty(False), case.agent.duty(True)]
    random.shuffle(at_once)
    await asyncio.gather(*at_once)
    assert deadlocks == []
