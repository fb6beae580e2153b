"""A rolling restart under load, with two replicas of each service, makes no request fail.

REPEATS=5 make test ARGS="tests/lab/test_rolling_restart.py -s" is the long form.
"""

import asyncio
import os
from collections.abc import AsyncIterator

import httpx
import pytest

from batalkan import local_servers
from batalkan.servers import install
from lab.faults.rolling_restart import BackgroundTraffic, ObservingTransport, P, restart_in_turn
from lab.faults.system import LabSystem, no_bus
from services import SERVICES
from tests.harness.system import SystemUnderTest

REPEATS = int(os.environ.get("REPEATS", "1"))
MAX_SECONDS = 10

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180 + 180 * REPEATS)]


@pytest.fixture
async def observations(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[LabSystem, ObservingTransport]]:
    """Two processes of each service, and a transport that observes all answers."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("servers") / "install.log")
    async with local_servers.running(None, replicas=dict.fromkeys(SERVICES, 2), dana_timeout=1.0, say=print) as running:
        observations = ObservingTransport(running.transport())
        async with (
            httpx.AsyncClient(transport=observations, base_url="http://localhost", timeout=30) as http,
            running.client(timeout=5) as plain,
        ):
            base = SystemUnderTest(http, running.dana, running.database_urls, no_bus, running.keys, full=True)
            yield LabSystem(running, base, plain), observations


async def test_restarted_in_turn_under_load(observations: tuple[LabSystem, ObservingTransport]) -> None:
    """While each of two replicas is restarted in turn, no client sees a 5xx or a broken connection, each process ends
    within 10 seconds with code 0, and afterwards every refund is complete and every message stored."""
    system, seen = observations

    async def sign_in(kind: type[P], role: str) -> P:
        return kind.signed(system.base.http, system.running.keys, role)

    life = BackgroundTraffic(system.base.http, sign_in)
    ended: list[tuple[str, float, int | None]] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(life.run())
        for _ in range(REPEATS):
            ended += await restart_in_turn(system.running, print)
        life.over.set()
    print(f"{dict(seen.answers)} answers, {len(life.accepted)} cancellations, {life.cases} cases")  # noqa: T201
    assert seen.faults == []
    assert [(name, code) for name, _, code in ended if code != 0] == []
    assert [(name, seconds) for name, seconds, _ in ended if seconds > MAX_SECONDS] == []
    snapshot = await system.settled()
    assert (snapshot.broken, snapshot.ledger_sum) == ([], 0)
    assert snapshot.refunds == snapshot.cancelled_paid_orders == len(life.accepted) > 0
    assert life.cases > 0
    assert await system.base.count("chat", "messages where kind = 'text'") == life.said.total()
    assert system.new_errors() == []
