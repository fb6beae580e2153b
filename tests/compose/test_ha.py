"""PostgreSQL and RabbitMQ on three nodes each: what is confirmed survives the loss of any node, its disk included.

    FAULTS=60 WIPES=6 make test ARGS="-m long tests/compose/test_ha.py -s"

is the long form; SEED= repeats the order of the faults of an earlier run. The next fault begins once all nodes are
healthy again.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import httpx
import pytest

from lab.faults.system import RetryingTransport
from tests.compose.cluster import FILES, Cluster
from tests.compose.stack import ROOT, Stack, docker, running_stack
from tests.compose.test_cluster import Log, all_refunded, ask_bus_tap
from tests.compose.workload import Workload
from tests.harness.actors import Buyer, Seller
from tests.harness.waiting import eventually

FAULTS, WIPES = int(os.environ.get("FAULTS", "6")), int(os.environ.get("WIPES", "1"))
SEED = int(os.environ.get("SEED", random.randrange(10**6)))
PAIRS = 16
"""Buyers with their sellers: more than 10,000 cancellations within the sixty faults of the long form, also when nodes
are back soon."""
FROZEN = 40.0
"""Seconds for which a node is frozen or cut off: longer than a failover takes."""
PAUSE = 30.0
"""Seconds in which a cancellation is accepted, whichever node is lost."""
LOG = ROOT / ".batalkan/ha.log"
"""What the containers have written."""
DATABASES = ("postgres", "postgres-2", "postgres-3")
BROKERS = ("rabbitmq", "rabbitmq-2", "rabbitmq-3")
OTHERS = ("etcd-1", "etcd-2", "etcd-3", "orders", "refunds", "chat", "cs")

pytestmark = [pytest.mark.compose, pytest.mark.long, pytest.mark.timeout(900 + 240 * FAULTS)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Everything, with three nodes of PostgreSQL, etcd and RabbitMQ."""
    with running_stack(*FILES, "compose.ha.yaml") as stack:
        yield stack
        LOG.parent.mkdir(exist_ok=True)
        LOG.write_text(stack.logs())


class Nodes:
    """The nodes of a running stack, and what is done to them."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self._stack, self._chance = stack, chance

    def primary(self) -> str:
        """PostgreSQL's node that accepts writes. Raises AssertionError if there is none: StopIteration would never
        get out of a thread."""
        found = [node for node in DATABASES if self._is_primary(node)]
        assert found, "no node accepts writes"
        return found[0]

    def faults(self) -> list[str]:
        """`kind node`, in random order. The primary is `primary` until the fault begins."""
        kinds = ["kill", "freeze", "cut"]
        found = [f"{self._chance.choice(kinds)} primary" for _ in range(FAULTS // 2 - WIPES)]
        found += [f"kill {self._chance.choice(OTHERS + BROKERS)}" for _ in range(FAULTS - FAULTS // 2)]
        found += [f"wipe {self._chance.choice(('primary', *DATABASES))}" for _ in range(WIPES)]
        self._chance.shuffle(found)
        return found

    async def strike(self, kind: str, node: str) -> None:
        """Lets the fault happen, and ends it."""
        container = self._chance.choice(self._stack.containers(node))["Id"]
        networks = [self._stack.name_of(name) for name in ("data", "consensus")]
        match kind:
            case "kill":
                await run("kill", container)
                await run("start", container)
            case "freeze":
                await run("pause", container)
                await asyncio.sleep(FROZEN)
                await run("unpause", container)
            case "cut":
                for network in networks:
                    await run("network", "disconnect", network, container)
                await asyncio.sleep(FROZEN)
                for network in networks:
                    await run("network", "connect", "--alias", node, network, container)
            case "wipe":
                await run("rm", "--force", container)
                await asyncio.to_thread(self._stack.compose, "rm", "--force", "init")  # it has the volume, too
                volume = "postgres-data" if node == "postgres" else f"{node}-data"
                await run("volume", "rm", self._stack.name_of(volume))
                await asyncio.to_thread(self._stack.compose, "up", "--detach", "--wait", node)

    async def whole(self) -> None:
        """Waits until every container is healthy, every queue has its members, and both standbys follow."""

        async def is_whole() -> bool:
            query = "select count(*), count(*) filter (where sync_state = 'sync') from pg_stat_replication"
            try:
                primary = await asyncio.to_thread(self.primary)
                following = await asyncio.to_thread(self._stack.run_in, primary, "psql", "-Atc", query)
            except AssertionError:
                return False
            states = [found["State"] for found in await asyncio.to_thread(self._stack.containers)]
            healthy = all(
                state["Health"]["Status"] == "healthy" for state in states if state["Running"] and "Health" in state
            )
            return following.strip() == "2|1" and healthy

        await eventually(is_whole, 300, every=2)
        await Cluster(self._stack).whole()

    def _is_primary(self, node: str) -> bool:
        try:
            return self._stack.run_in(node, "psql", "-Atc", "select pg_is_in_recovery()").strip() == "f"
        except AssertionError:
            return False


async def run(*command: str) -> str:
    """Runs `docker`."""
    return await asyncio.to_thread(docker, *command)


@asynccontextmanager
async def longest_pause(workload: Workload) -> AsyncIterator[list[float]]:
    """The longest time without an accepted cancellation inside the block, known at its end."""
    found, over = [0.0], False

    async def watch() -> None:
        last, accepted = monotonic(), len(workload.accepted)
        while not over:
            await asyncio.sleep(0.1)
            if len(workload.accepted) > accepted:
                found[0] = max(found[0], monotonic() - last)
                last, accepted = monotonic(), len(workload.accepted)
        found[0] = max(found[0], monotonic() - last)  # also a pause that has not ended

    watching = asyncio.create_task(watch())
    yield found
    over = True
    await watching


async def test_any_node_is_lost_under_load(stack: Stack) -> None:
    """Nodes are killed, frozen, cut off, and lose their disks while people cancel: no accepted cancellation is lost,
    every refund is exact, and cancellations are accepted again within 30 seconds."""
    chance, log = random.Random(SEED), Log(stack, f"seed {SEED}: {FAULTS} faults, {WIPES} wiped disks")
    nodes, pauses = Nodes(stack, chance), []
    before = await asyncio.to_thread(ask_bus_tap, stack, "open")
    retrying = RetryingTransport(httpx.AsyncHTTPTransport(), stale=True)
    async with httpx.AsyncClient(transport=retrying, base_url=stack.url, timeout=30) as http:
        workload = Workload(http, PAIRS)
        async with workload.at_work():
            for number, fault in enumerate(nodes.faults(), start=1):
                kind, node = fault.split()
                node = await asyncio.to_thread(nodes.primary) if node == "primary" else node
                async with longest_pause(workload) as pause:
                    await nodes.strike(kind, node)
                    await nodes.whole()
                pauses.append(pause[0])
                log.say(f"{number}: {fault} ({node}): pause {pause[0]:.1f} s; {len(workload.accepted)} cancellations")
    await all_refunded(stack, log, workload, before)
    assert max(pauses) < PAUSE, pauses


async def test_both_standbys_are_frozen(stack: Stack) -> None:
    """A cancellation is answered 503, and the order stays as it was: without a second copy nothing is committed. When
    the standbys are back, the same request is accepted, and refunded once."""
    nodes = Nodes(stack, random.Random(SEED))
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as http:
        seller, buyer = await Seller.register(http, "seller"), await Buyer.register(http, "buyer")
        order_id = await buyer.buy(await seller.offer())
        primary = await asyncio.to_thread(nodes.primary)
        standbys = [stack.containers(node)[0]["Id"] for node in DATABASES if node != primary]
        for standby in standbys:
            await run("pause", standby)
        try:
            assert (await buyer.cancel(order_id)).status_code == 503
            seen = await buyer.order(order_id)
            assert (seen["status"], seen["cancellation"]["cancellation_id"]) == ("processing", None)
        finally:
            for standby in standbys:
                await run("unpause", standby)
        await nodes.whole()
        (await buyer.cancel(order_id)).raise_for_status()
        refund = await buyer.refund(order_id)
        assert (refund["amount"], await buyer.credit()) == (189_000, 189_000)
