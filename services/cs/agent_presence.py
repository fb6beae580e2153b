"""Who of the agents on duty is really there: whoever has a live connection, or asks for something now and then.

Judged by the real time of the database, which no demonstration moves: agents who are connected stay on duty when the
clock is put forward.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from time import monotonic
from uuid import UUID

from runtime.backoff import Backoff
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database_errors import is_transient
from services.cs import agents
from services.cs.office import Office

EVERY = 5.0
"""Seconds between two looks at the most."""

log = logging.getLogger(__name__)


class AgentPresence:
    """Writes down whom this replica sees, and sends home those whom no replica has seen for longer than `grace`."""

    def __init__(
        self, uow: UnitOfWork, office: Office, grace: timedelta, connected: Callable[[], Collection[UUID]]
    ) -> None:
        self._uow = uow
        self._office = office
        self._grace = grace
        self._connected = connected
        self._seen: set[UUID] = set()
        self._judges_from = monotonic() + grace.total_seconds()

    def saw(self, agent_id: UUID) -> None:
        """The agent has asked for something just now."""
        self._seen.add(agent_id)

    async def look(self) -> None:
        """One round. Nobody is sent home while agents have had no chance to show themselves: for one grace time after
        this process has started, or the database was away."""
        seen, self._seen = self._seen | set(self._connected()), set()
        try:
            async with self._uow.begin() as tx:
                await agents.seen(tx, list(seen))
                absent = await agents.absent(tx, self._grace)
        except Exception:
            self._seen |= seen
            self._judges_from = monotonic() + self._grace.total_seconds()
            raise
        if absent and monotonic() >= self._judges_from:
            await self._send_home()

    async def _send_home(self) -> None:
        async with self._office.turn, self._uow.begin() as tx:
            await agents.in_turn(tx)
            if absent := await agents.absent(tx, self._grace):
                await agents.lock_cases(tx, self._office.max_cases, leaving=absent)
                await self._office.send_home(tx, absent)

    async def watch(self) -> None:
        """Looks until it is cancelled."""
        backoff = Backoff("PostgreSQL, to see who is on duty", log)
        while True:
            try:
                await self.look()
                backoff.reset()
            except Exception as error:
                if not is_transient(error):
                    log.exception("looking who is on duty failed")
                await backoff.wait(error)
            await asyncio.sleep(min(EVERY, self._grace.total_seconds() / 4))
