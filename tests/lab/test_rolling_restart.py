"""A rolling restart under load, with two replicas of each service, makes no request fail.

REPEATS=5 make test ARGS="tests/lab/test_rolling_restart.py -s" is the long form, which restarts both replicas.
"""

import asyncio
import os

import httpx
import pytest

from lab.faults.rolling_restart import BackgroundTraffic, ObservingTransport, P, restart_in_turn
from lab.faults.system import open_lab_system
from services import SERVICES

REPEATS = int(os.environ.get("REPEATS", "1"))
MAX_SECONDS = 10

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180 + 180 * REPEATS)]


@pytest.mark.usefixtures("installed")
async def test_restarted_in_turn_under_load() -> None:
    """While a replica of each service is restarted in turn, no client sees a 5xx or a broken connection, each process
    ends within 10 seconds with code 0, and afterwards every refund is complete and every message stored."""
    observers: list[ObservingTransport] = []
    names = [f"{name}{replica}" for name in SERVICES for replica in ("", "-2")[: min(REPEATS, 2)]]

    def observe(transport: httpx.AsyncBaseTransport) -> ObservingTransport:
        observers.append(ObservingTransport(transport))
        return observers[0]

    async with open_lab_system(observe, dict.fromkeys(SERVICES, 2), timeout=30) as system:

        async def sign_in(kind: type[P], role: str) -> P:
            return kind.signed(system.base.http, system.running.keys, role)

        life = BackgroundTraffic(system.base.http, sign_in)
        ended: list[tuple[str, float, int | None]] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(life.run())
            for _ in range(REPEATS):
                ended += await restart_in_turn(system.running, names, print)
            life.over.set()
        (seen,) = observers
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
