"""RabbitMQ as a cluster of three: what is confirmed survives the loss of any one node.

    KILLS=20 CUTS=20 CUT_SECONDS=60 make test ARGS="-m long tests/compose/test_cluster.py -s"

is the long form, which takes about an hour; SEED= repeats the order of the faults of an earlier run, and after MINUTES=
no further fault begins.
"""

import asyncio
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest

from lab.faults.system import RetryingTransport
from services import SERVICES
from tests.compose.cluster import FILES, NODES, QUEUES, Cluster
from tests.compose.stack import Stack, running_stack
from tests.compose.workload import Workload
from tests.harness.waiting import eventually

KILLS, CUTS = int(os.environ.get("KILLS", "2")), int(os.environ.get("CUTS", "1"))
CUT_SECONDS = float(os.environ.get("CUT_SECONDS", "20"))
MINUTES = float(os.environ.get("MINUTES", "60"))
MAX_PAUSE = 30
"""Seconds without a refund while a node is cut off."""
SEED = int(os.environ.get("SEED", random.randrange(10**6)))
BUS_TAP = (Path(__file__).parent / "tap.py").read_text()

pytestmark = [pytest.mark.compose, pytest.mark.long, pytest.mark.timeout(300 + 60 * KILLS + (60 + CUT_SECONDS) * CUTS)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Everything, with three brokers."""
    with running_stack(*FILES) as stack:
        yield stack


async def test_every_queue_is_on_every_node(stack: Stack) -> None:
    """After the first `up` the queues and their dead letters have a member on each of the three nodes."""
    queues = await Cluster(stack).whole()
    assert queues.keys() == {f"{name}{end}" for name in QUEUES for end in ("", ".dead")}
    assert {queue.members for queue in queues.values()} == {frozenset(NODES)}


async def test_no_node_waits_long_for_a_lost_name(stack: Stack) -> None:
    """A node looks up the name of one that is cut off, gets no answer, and does nothing else that concerns the network
    meanwhile."""
    for node in NODES:
        began = monotonic()
        stack.run_in(node, "bash", "-c", "! getent hosts gone")
        assert monotonic() - began < 4


async def test_nodes_die_and_are_cut_off_under_load(stack: Stack) -> None:
    """Leaders are killed and a node is cut off while people cancel: no confirmed message is missing anywhere, and every
    accepted cancellation is refunded exactly once."""
    chance, cluster = random.Random(SEED), Cluster(stack)
    log = Log(stack, f"seed {SEED}: {KILLS} kills, {CUTS} cuts of {CUT_SECONDS:.0f} s")
    faults = ["kill"] * KILLS + ["cut"] * CUTS
    chance.shuffle(faults)
    before = ask_bus_tap(stack, "open")
    retrying = RetryingTransport(httpx.AsyncHTTPTransport())
    async with httpx.AsyncClient(transport=retrying, base_url=stack.url, timeout=30) as http:
        workload = Workload(http)
        async with workload.at_work():
            for number, fault in enumerate(faults, start=1):
                if log.minutes > MINUTES:
                    log.say(f"no time for {len(faults) - number + 1} more")
                    break
                refunds = log.refunds()
                if fault == "kill":
                    queue = chance.choice(QUEUES)
                    log.say(f"kill of the leader of {queue}: another after {await cluster.kill_leader(queue):.1f} s")
                else:
                    node = chance.choice(NODES)
                    cut = asyncio.create_task(cluster.cut_off(node, CUT_SECONDS))
                    pause = await log.longest_pause(cut)
                    await cut
                    meanwhile = f"{log.refunds() - refunds} refunds, none for {pause:.0f} s at the most"
                    log.say(f"{node} cut off for {CUT_SECONDS:.0f} s: {meanwhile}")
                    assert pause <= MAX_PAUSE
                healing = monotonic()
                await cluster.whole()
                healed = monotonic() - healing
                log.say(f"{number}: whole again after {healed:.1f} s; {len(workload.accepted)} cancellations")
    log.say(f"{retrying.again} requests sent again; slowest cancellation {workload.slowest:.2f} s")
    await all_refunded(stack, log, workload, before)
    assert {name: queue.messages for name, queue in (await cluster.whole()).items() if queue.messages} == {}


async def all_refunded(stack: Stack, log: "Log", workload: Workload, before: dict[str, object]) -> None:
    """Waits until all is at rest: every accepted cancellation is stored, published to all, and refunded once."""
    accepted, over = workload.accepted, monotonic()
    await eventually(lambda: drained(stack, len(accepted)), 180, every=1)
    log.say(f"drained {monotonic() - over:.1f} s after the last")
    stored = dict(
        line.split("|") for line in stack.sql("orders", "select order_id, cancellation_id from cancellations")
    )
    assert stored.keys() == accepted.keys()
    assert all(stored[order] == cancellation for order, cancellation in accepted.items() if cancellation)
    snapshot = json.loads(stack.compose("run", "--rm", "batalkan", "check", "--dana", "http://dana:8000", "--json"))
    assert (snapshot["broken"], snapshot["open_refunds"]) == ([], 0)
    assert snapshot["refunds"] == snapshot["cancelled_paid_orders"] == len(accepted)
    tapped = ask_bus_tap(stack, "close", json.dumps(before))
    log.say(f"{len(accepted)} cancellations refunded; {tapped}")
    assert tapped["missing"] == []
    assert json.loads(stack.compose("run", "--rm", "batalkan", "parked", "list", "--json")) == []


class Log:
    """Prints what happened, for the table of the long form and for the search after the cause of a failure."""

    def __init__(self, stack: Stack, first: str) -> None:
        self._stack = stack
        self._began = monotonic()
        self.say(first)

    @property
    def minutes(self) -> float:
        """Since the beginning."""
        return (monotonic() - self._began) / 60

    def say(self, line: str) -> None:
        print(f"{monotonic() - self._began:7.1f} s  {line}", flush=True)  # noqa: T201

    async def longest_pause(self, fault: asyncio.Task[None]) -> float:
        """The longest time in seconds, while the fault lasts, in which no refund arrived."""
        found, refunds, since = 0.0, self.refunds(), monotonic()
        while not fault.done():
            await asyncio.wait({fault}, timeout=1)
            found = max(found, monotonic() - since)
            if refunds != (refunds := await asyncio.to_thread(self.refunds)):
                since = monotonic()
        return found

    def refunds(self) -> int:
        """How many have arrived by now."""
        return int(self._stack.sql("refunds", "select count(*) from refunds where state = 'issued'")[0])


async def drained(stack: Stack, cancellations: int) -> bool:
    """Whether nothing waits any more, and every cancellation has its refund."""

    def look() -> bool:
        waiting = sum(int(stack.sql(service, "select count(*) from outbox")[0]) for service in SERVICES)
        refunds = stack.sql("refunds", "select count(*) filter (where state = 'issued') from refunds")
        known = stack.sql("orders", "select count(*) from cancellations where refund_state = 'issued'")
        return (waiting, int(refunds[0]), int(known[0])) == (0, cancellations, cancellations)

    return await asyncio.to_thread(look)


def ask_bus_tap(stack: Stack, *arguments: str) -> dict[str, object]:
    """Runs the tap in the operator's container."""
    said: dict[str, object] = json.loads(
        stack.compose("run", "--rm", "--entrypoint", "python", "batalkan", "-c", BUS_TAP, *arguments)
    )
    return said
