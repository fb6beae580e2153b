"""What is done in the office without anybody asking: giving the cases that came back to those who are free."""

import asyncio
import logging
from contextlib import suppress

from runtime.backoff import Backoff
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database_errors import is_transient
from services.cs import agents
from services.cs.office import Office

LOOK = 1.0
"""Seconds between two looks for somebody who waits while an agent is free, woken or not."""

log = logging.getLogger(__name__)


class Router:
    """The rounds that every replica makes."""

    def __init__(self, uow: UnitOfWork, office: Office) -> None:
        self._uow = uow
        self._office = office

    async def give_cases(self) -> None:
        """Gives waiting cases to agents who have room, if there are such."""
        self._office.came_back.clear()
        async with self._uow.begin() as tx:
            if not await agents.is_someone_free(tx, self._office.max_cases):
                return
        async with self._office.turn, self._uow.begin() as tx:
            await self._office.take_turn(tx)
            await self._office.give_cases(tx)

    async def route(self) -> None:
        """Gives cases until it is cancelled: whenever one comes back to the queue, and on a timer."""
        backoff = Backoff("PostgreSQL, to route cases", log)
        while True:
            try:
                await self.give_cases()
                backoff.reset()
            except Exception as error:
                if not is_transient(error):
                    log.exception("routing cases failed")
                await backoff.wait(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._office.came_back.wait()
