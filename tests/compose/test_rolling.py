"""A rolling restart behind nginx: two containers of a service, restarted one after the other while people go on.

ROLLED="accounts orders refunds chat cs" make test ARGS="-m long tests/compose/test_rolling.py -s" is the long form.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from time import monotonic

import httpx
import pytest

from lab.faults.rolling_restart import BackgroundTraffic, ObservingTransport, P
from services.accounts.demonstration import PASSWORD
from tests.compose.stack import Stack, docker
from tests.harness.waiting import eventually

ROLLED = os.environ.get("ROLLED", "orders chat").split()
"""The services of which both containers are restarted."""
MAX_SECONDS = 10

pytestmark = [pytest.mark.compose, pytest.mark.long, pytest.mark.timeout(240 + 120 * len(ROLLED))]


@pytest.fixture
def doubled(stack: Stack) -> Iterator[Stack]:
    """Two containers of each of these services, for one test."""
    stack.up("--no-recreate", *(argument for name in ROLLED for argument in ("--scale", f"{name}=2")))
    yield stack
    stack.up("--no-recreate")


async def test_containers_are_restarted_in_turn(doubled: Stack) -> None:
    """No client sees a 5xx or a broken connection, each container ends within 10 seconds with code 0, and afterwards
    the books are right."""
    seen = ObservingTransport(httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=50)))
    async with httpx.AsyncClient(transport=seen, base_url=doubled.url, timeout=30) as http:

        async def sign_in(kind: type[P], role: str) -> P:
            if role == "agent":
                return await kind.sign_in(http, "agent@example.com", PASSWORD)
            return await kind.register(http, role)

        life = BackgroundTraffic(http, sign_in, agents=1)
        async with asyncio.TaskGroup() as group:
            group.create_task(life.run())
            await eventually(lambda: asyncio.sleep(0, life.accepted), 120)
            ended = await restart_in_turn(doubled)
            life.over.set()
        print(f"{dict(seen.answers)} answers, {len(life.accepted)} cancellations, {life.cases} cases")  # noqa: T201
    assert seen.faults == []
    assert [one for one in ended if one[1] != 0 or one[2] > MAX_SECONDS] == []

    async def settled() -> bool:
        said = await asyncio.to_thread(doubled.compose, "run", "--rm", "batalkan", "check", "--json")
        snapshot = json.loads(said)
        return bool(snapshot["refunds"] == snapshot["cancelled_paid_orders"] and not snapshot["open_refunds"])

    await eventually(settled, 60, every=1)
    query = "select order_id, cancellation_id from cancellations"
    stored = set(doubled.sql("orders", query))
    assert stored >= {f"{order}|{cancellation}" for order, cancellation in life.accepted.items()}


async def restart_in_turn(stack: Stack) -> list[tuple[str, int, float]]:
    """SIGTERM to one container after the other, the next once the one before is ready: name, exit code, seconds."""
    ended: list[tuple[str, int, float]] = []
    for service in ROLLED:
        for container in await asyncio.to_thread(stack.containers, service):
            name, began = container["Name"].rpartition("test-")[2], monotonic()
            await asyncio.to_thread(docker, "stop", "--time", "30", container["Id"])
            took = monotonic() - began
            (stopped,) = json.loads(await asyncio.to_thread(docker, "inspect", container["Id"]))
            ended.append((name, stopped["State"]["ExitCode"], took))
            await asyncio.to_thread(docker, "start", container["Id"])
            await eventually(lambda: is_ready(service, container["Id"]), 120, every=0.2)  # noqa: B023 (used at once)
            print(f"{ended[-1]}, ready after {monotonic() - began:.1f} s")  # noqa: T201
    return ended


async def is_ready(service: str, container: str) -> bool:
    """Whether this replica says so."""
    check = ("python", "-IS", "deploy/healthy.py", f"/{service}/health/ready")
    try:
        await asyncio.to_thread(docker, "exec", container, *check)
    except AssertionError:
        return False
    return True
