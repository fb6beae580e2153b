"""A new version is rolled out while people go on: with two replicas of each service, nobody notices.

ROUNDS=5 make test ARGS="tests/lab/test_rolling_restart.py -s" is the long form.
"""

import asyncio
import os
from collections.abc import AsyncIterator

import httpx
import pytest

from batalkan import local_servers
from batalkan.local_servers import SERVICES
from batalkan.servers import install
from lab.faults.rolling_restart import Life, P, Witness, restart_in_turn
from lab.faults.system import House, no_bus
from tests.harness.system import Place

ROUNDS = int(os.environ.get("ROUNDS", "1"))
MOST_SECONDS = 10

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180 + 180 * ROUNDS)]


@pytest.fixture
async def witness(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, Witness]]:
    """Two processes of each service, and who sees all answers."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("servers") / "install.log")
    async with local_servers.running(None, replicas=dict.fromkeys(SERVICES, 2), dana_timeout=1.0, say=print) as running:
        witness = Witness(running.transport())
        async with (
            httpx.AsyncClient(transport=witness, base_url="http://localhost", timeout=30) as http,
            running.client(timeout=5) as plain,
        ):
            place = Place(http, running.dana, running.database_urls, no_bus, running.keys, full=True)
            yield House(running, place, plain), witness


async def test_restarted_in_turn_under_load(witness: tuple[House, Witness]) -> None:
    """While each of two replicas is restarted in turn, no client sees a 5xx or a broken connection, each process ends
    within 10 seconds with code 0, and afterwards every rupiah and every message is where it belongs."""
    house, seen = witness

    async def sign_in(kind: type[P], role: str) -> P:
        return kind.signed(house.place.http, house.running.keys, role)

    life = Life(house.place.http, sign_in)
    ended: list[tuple[str, float, int | None]] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(life.run())
        for _ in range(ROUNDS):
            ended += await restart_in_turn(house.running, print)
        life.over.set()
    print(f"{dict(seen.answers)} answers, {len(life.accepted)} cancellations, {life.cases} cases")  # noqa: T201
    assert seen.faults == []
    assert [(name, code) for name, _, code in ended if code != 0] == []
    assert [(name, seconds) for name, seconds, _ in ended if seconds > MOST_SECONDS] == []
    books = await house.settled()
    assert (books.broken, books.ledger_sum) == ([], 0)
    assert books.refunds == books.cancelled_paid_orders == len(life.accepted) > 0
    assert life.cases > 0
    assert await house.place.count("chat", "messages where kind = 'text'") == life.said.total()
    assert house.complaints() == []
