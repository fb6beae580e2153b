"""What is live in `cs`: agents who come and go, the routing of cases, positions in the queue."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from redis.asyncio import Redis

from runtime.backoff import woken
from runtime.errors import WrongRole
from runtime.http.auth import BuyerOrAgent, Identity
from runtime.http.rate_limit import RateLimit
from runtime.live.updates import LiveUpdates
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.repeating import repeat
from runtime.storage.broadcast import RedisBroadcast
from services.cs import agents, views
from services.cs.cases import Cases

ROUTE_EVERY, POSITIONS_EVERY, PRESENCE_EVERY = 1.0, 5.0, 5.0
"""Seconds between two reads of the database at most, woken or not."""
GATHER = 0.1
"""Seconds in which changes of the queue are gathered."""


async def route_cases(uow: UnitOfWork, cases: Cases) -> None:
    """Gives the cases that have returned to the queue, or found no agent, to agents who have room: whenever one
    returns, and on a timer, until it is cancelled."""

    async def give_cases() -> None:
        cases.returned.clear()
        async with uow.begin() as tx:
            if not await agents.is_room(tx, cases.max_cases):
                return
        async with cases.turn, uow.begin() as tx:
            await cases.take_turn(tx)
            await cases.give_cases(tx)

    await repeat("route cases", give_cases, lambda: woken(cases.returned, ROUTE_EVERY))


class AgentPresence:
    """Which agents on duty are really there: those with a live connection, or a request now and then. Notes whom this
    replica sees, and sends agents off duty whom no replica has seen for longer than `grace`.

    Measured by the real time of the database, which no demonstration moves: agents who are connected stay on duty when
    the clock is put forward.
    """

    def __init__(self, uow: UnitOfWork, cases: Cases, grace: timedelta, connected: Callable[[], Collection[UUID]]):
        self._uow = uow
        self._cases = cases
        self._grace = grace
        self._connected = connected
        self._seen: set[UUID] = set()
        self._judges_from = monotonic() + grace.total_seconds()

    def saw(self, agent_id: UUID) -> None:
        """The agent has sent a request just now."""
        self._seen.add(agent_id)

    async def check(self) -> None:
        """One round. No agent is sent off duty without the chance to be seen: for one grace time after this process has
        started, or the database was away."""
        seen, self._seen = self._seen | set(self._connected()), set()
        try:
            async with self._uow.begin() as tx:
                await agents.seen(tx, list(seen))
                absent = await agents.absent(tx, self._grace)
        except Exception:
            self._seen |= seen
            self._judges_from = monotonic() + self._grace.total_seconds()
            raise
        if not absent or monotonic() < self._judges_from:
            return
        async with self._cases.turn, self._uow.begin() as tx:
            await agents.in_turn(tx)
            if absent := await agents.absent(tx, self._grace):
                await agents.lock_cases(tx, self._cases.max_cases, leaving=absent)
                await self._cases.go_off_duty(tx, absent)

    async def run(self) -> None:
        """Checks until it is cancelled."""
        pause = min(PRESENCE_EVERY, self._grace.total_seconds() / 4)
        await repeat("see which agents are on duty", self.check, lambda: asyncio.sleep(pause))


class QueuePositions:
    """Positions in the queue, live: each buyer who waits sees their own, agents see how many wait.

    Each replica reads the queue once for all changes within a moment, and sends frames to the accounts with a socket at
    it. A hint over Redis makes the other replicas do the same; without it, they read by themselves soon.
    """

    def __init__(self, uow: UnitOfWork, cases: Cases, live: LiveUpdates, redis: Redis) -> None:
        self._uow = uow
        self._cases = cases
        self._live = live
        self._sent: dict[UUID, str] = {}
        self._due = asyncio.Event()
        self._broadcast = RedisBroadcast(redis, "cs:queue", lambda _: self._due.set(), self._due.set)
        live.on_arrival.append(self._arrived)

    async def run(self) -> None:
        """Sends positions until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._broadcast.run())
            group.create_task(self._pass_on())
            group.create_task(repeat("send positions in the queue", self.send, self._gather))

    async def send(self) -> None:
        """Sends a frame to each person who is connected here and whose position has changed."""
        self._due.clear()
        connected = set(self._live.connected)
        if not connected:
            self._sent.clear()
            return
        async with self._uow.begin() as tx:
            line, on_duty = await agents.line(tx), await agents.on_duty(tx)
        frames = {agent_id: views.queue_frame(len(line), len(on_duty)) for agent_id in on_duty if agent_id in connected}
        for position, (case_id, buyer_id) in enumerate(line, start=1):
            if buyer_id in connected:
                frames[buyer_id] = views.position_frame(case_id, position, len(on_duty))
        for account, frame in frames.items():
            if self._sent.get(account) != frame:
                self._live.deliver([account], frame)
        self._sent = frames

    async def _gather(self) -> None:
        await woken(self._due, POSITIONS_EVERY)
        await asyncio.sleep(GATHER)

    def _arrived(self, person: Identity) -> None:
        self._sent.pop(person.account_id, None)
        self._due.set()

    async def _pass_on(self) -> None:
        while True:
            await self._cases.queue_changed.wait()
            self._cases.queue_changed.clear()
            self._due.set()
            self._broadcast.publish("moved")
            await asyncio.sleep(GATHER)


@dataclass(frozen=True)
class Dependencies:
    """What the routes need besides the database."""

    cases: Cases
    presence: AgentPresence
    live: LiveUpdates
    rate_limit: RateLimit


async def _dependencies(request: Request) -> Dependencies:
    dependencies: Dependencies = request.app.state.dependencies
    return dependencies


Inside = Annotated[Dependencies, Depends(_dependencies)]


async def agent_or_buyer(person: BuyerOrAgent, dependencies: Inside) -> Identity:
    """The person, who is noted as present if it is an agent."""
    if person.role == "agent":
        dependencies.presence.saw(person.account_id)
    return person


AgentOrBuyer = Annotated[Identity, Depends(agent_or_buyer)]


async def _agent(person: AgentOrBuyer) -> Identity:
    if person.role != "agent":
        raise WrongRole("Only for: agent.")
    return person


Agent = Annotated[Identity, Depends(_agent)]
