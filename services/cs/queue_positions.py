"""Places in the queue, live: everybody who waits sees their own, agents see how many wait.

Each replica looks the queue up once for all changes within a moment, and tells those who are connected to it. A hint
over Redis has the other replicas do the same; if it gets lost, they look by themselves soon.
"""

import asyncio
import logging
from contextlib import suppress
from uuid import UUID

from redis.asyncio import Redis

from runtime.backoff import Backoff
from runtime.http.auth import Identity
from runtime.live.updates import LiveUpdates
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.broadcast import RedisBroadcast
from runtime.storage.database_errors import is_transient
from services.cs import agents, frames, store
from services.cs.office import Office

TOGETHER = 0.1
"""Seconds in which changes are gathered."""
LOOK = 5.0
"""Seconds between two looks, hint or not."""

log = logging.getLogger(__name__)


class QueuePositions:
    """Who was told which place."""

    def __init__(self, uow: UnitOfWork, office: Office, live: LiveUpdates, redis: Redis) -> None:
        self._uow = uow
        self._office = office
        self._live = live
        self._told: dict[UUID, str] = {}
        self._due = asyncio.Event()
        self._broadcast = RedisBroadcast(redis, "cs:queue", lambda _: self._due.set(), self._due.set)
        live.on_arrival.append(self._arrived)

    async def run(self) -> None:
        """Tells places until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._broadcast.run())
            group.create_task(self._pass_on())
            group.create_task(self._tell_always())

    async def tell(self) -> None:
        """Tells those who are connected here, if there is news for them."""
        people = set(self._live.people)
        if not people:
            self._told.clear()
            return
        async with self._uow.begin() as tx:
            line, on_duty = await store.line(tx), await agents.on_duty(tx)
        news = {agent_id: frames.queue(len(line), len(on_duty)) for agent_id in on_duty if agent_id in people}
        for position, (case_id, buyer_id) in enumerate(line, start=1):
            if buyer_id in people:
                news[buyer_id] = frames.place(case_id, position, len(on_duty))
        for account, frame in news.items():
            if self._told.get(account) != frame:
                for socket in self._live.presence.here.get(account, ()):
                    socket.show(frame)
        self._told = news

    async def _arrived(self, person: Identity) -> None:
        self._told.pop(person.account_id, None)
        self._due.set()

    async def _pass_on(self) -> None:
        while True:
            await self._office.moved.wait()
            self._office.moved.clear()
            self._due.set()
            self._broadcast.publish("moved")
            await asyncio.sleep(TOGETHER)

    async def _tell_always(self) -> None:
        backoff = Backoff("PostgreSQL, to tell places in the queue", log)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._due.wait()
            await asyncio.sleep(TOGETHER)
            self._due.clear()
            try:
                await self.tell()
                backoff.reset()
            except Exception as error:
                if not is_transient(error):
                    log.exception("telling places in the queue failed")
                await backoff.wait(error)
                self._due.set()
