"""What is done in the office without anybody asking: giving cases that came back, telling people their places."""

import asyncio
import logging
from contextlib import suppress

from runtime.database import is_passing
from runtime.patience import Patience
from runtime.work import Work
from services.cs import agents, frames, store
from services.cs.office import Office

LOOK = 1.0
"""Seconds between two looks for somebody who waits while an agent is free, woken or not."""
TOGETHER = 0.2
"""Seconds in which changes of the queue are gathered, before everybody in it is told of the new place."""

log = logging.getLogger(__name__)


class Rounds:
    """The rounds that every replica makes."""

    def __init__(self, work: Work, office: Office) -> None:
        self._work = work
        self._office = office

    async def give_cases(self) -> None:
        """Gives waiting cases to agents who have room, if there are such."""
        self._office.came_back.clear()
        async with self._work.begin() as tx:
            if await agents.is_someone_free(tx, self._office.most):
                await agents.in_turn(tx)
                await self._office.give_cases(tx)

    async def tell_places(self) -> None:
        """Tells everybody in the queue the place, and the agents its length."""
        self._office.moved.clear()
        async with self._work.begin() as tx:
            line, on_duty = await store.line(tx), await agents.on_duty(tx)
        for position, (case_id, buyer_id) in enumerate(line, start=1):
            self._work.audience.tell([buyer_id], frames.place(case_id, position, len(on_duty)))
        self._work.audience.tell(on_duty, frames.queue(len(line), len(on_duty)))

    async def route(self) -> None:
        """Gives cases until it is cancelled: whenever one comes back to the queue, and on a timer."""
        patience = Patience("PostgreSQL, to route cases", log)
        while True:
            try:
                await self.give_cases()
                patience.rewarded()
            except Exception as error:
                await _wait(patience, error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._office.came_back.wait()

    async def watch_queue(self) -> None:
        """Tells places until it is cancelled, once for all changes within a moment."""
        patience = Patience("PostgreSQL, to tell places in the queue", log)
        while True:
            await self._office.moved.wait()
            await asyncio.sleep(TOGETHER)
            try:
                await self.tell_places()
                patience.rewarded()
            except Exception as error:
                self._office.moved.set()
                await _wait(patience, error)


async def _wait(patience: Patience, error: Exception) -> None:
    if not is_passing(error):
        log.error("a round in the office failed", exc_info=error)
    await patience.wait(error)
