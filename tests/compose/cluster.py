"""RabbitMQ as a cluster, and what is done to it: the node that leads a queue is killed, or one is cut off."""

import asyncio
import json
from dataclasses import dataclass
from time import monotonic

from tests.compose.stack import Stack, docker
from tests.harness.waiting import eventually

FILES = "compose.yaml", "compose.cluster.yaml"
NODES = "rabbitmq", "rabbitmq-2", "rabbitmq-3"
QUEUES = "orders", "refunds", "chat", "cs"
WITHIN = 600.0
"""Seconds in which the cluster is whole again after a fault."""


@dataclass(frozen=True)
class Queue:
    """Where a queue's members are. `leader` is empty while the queue has none."""

    leader: str
    members: frozenset[str]
    online: frozenset[str]
    messages: int


class Cluster:
    """The three nodes of a running stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    async def queues(self, node: str) -> dict[str, Queue]:
        """All queues as one node sees them; empty when it cannot say."""
        asked = ("name", "leader", "members", "online", "messages", "--formatter", "json")
        try:
            said = await self._run(node, "rabbitmqctl", "-q", "list_queues", "-p", "batalkan", *asked)
        except AssertionError:
            return {}
        return {
            queue["name"]: Queue(
                _host(queue["leader"]),
                frozenset(map(_host, queue["members"])),
                frozenset(map(_host, queue["online"])),
                queue["messages"] or 0,
            )
            for queue in json.loads(said)
        }

    async def whole(self) -> dict[str, Queue]:
        """The queues, once each has a leader and three members that are there, and every node takes connections: the
        members are there before. Another fault in between would be one at two nodes."""

        async def look() -> dict[str, Queue] | None:
            found = await self.queues(NODES[0])
            whole = found and all(queue.online == set(NODES) and queue.leader for queue in found.values())
            return found if whole and all([await self._serves(node) for node in NODES]) else None

        return await eventually(look, WITHIN, every=2)

    async def kill_leader(self, queue: str) -> float:
        """Kills the node that leads the queue, which is started again as Docker would; seconds until another leads."""
        leader = (await self.whole())[queue].leader
        other = next(node for node in NODES if node != leader)

        async def led_by_another() -> bool:
            found = (await self.queues(other)).get(queue)
            return found is not None and found.leader not in ("", leader)

        began = monotonic()
        await asyncio.to_thread(docker, "kill", self._container(leader))
        await asyncio.to_thread(docker, "start", self._container(leader))
        await eventually(led_by_another, WITHIN, every=0.5)
        return monotonic() - began

    async def cut_off(self, node: str, seconds: float) -> None:
        """For so long, the node reaches neither the other nodes nor any service, and none of them reaches it."""
        network, container = self._stack.name_of("data"), self._container(node)
        await asyncio.to_thread(docker, "network", "disconnect", network, container)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(docker, "network", "connect", "--alias", node, network, container)

    async def _serves(self, node: str) -> bool:
        try:
            await self._run(node, "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/5672")
        except AssertionError:
            return False
        return True

    async def _run(self, node: str, *command: str) -> str:
        return await asyncio.to_thread(self._stack.run_in, node, *command)

    def _container(self, node: str) -> str:
        (found,) = self._stack.containers(node)
        return str(found["Id"])


def _host(node: str | None) -> str:
    return (node or "").removeprefix("rabbit@")
