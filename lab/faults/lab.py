"""What every scenario uses: the system under test, a seed, a history, and the check of all invariants."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any, Protocol

from batalkan.invariants import Evidence, Snapshot, check, in_flight
from batalkan.invariants.stores import opened
from lab.faults.history import History
from lab.faults.outcomes import InvariantBroken
from lab.faults.system import SOON, LabSystem

PACE = 1.0
"""Seconds between two steps of the demonstration's clock: after a large step, calls to DANA count as lost."""
POLL = 0.2
"""Seconds between two checks whether the system is at rest."""


class Lab:
    """One run of one scenario. Random choices come from `chance`, so that the seed repeats them."""

    def __init__(self, system: LabSystem, history: History, seed: int) -> None:
        self.system, self.history, self.seed = system, history, seed
        self.chance = random.Random(seed)
        self.injected: set[bytes] = set()
        """The SHA-256 of every injected bad message."""
        self.figures: dict[str, Any] = {}
        """Measured figures, for the report."""

    def hold(self, condition: bool, sentence: str) -> None:
        """Raises `InvariantBroken` with the sentence unless the condition holds."""
        if not condition:
            raise InvariantBroken([sentence])

    async def at_rest(self, within: float = 60.0) -> Snapshot:
        """Waits until nothing is in flight, then checks all invariants. Raises `InvariantBroken`.

        It moves the demonstration's clock forward, so that deadlines fire. `within` in seconds from now.
        """
        began, waits, moved = time.monotonic(), ["not checked yet"], 0.0
        while waits:
            if time.monotonic() - moved > PACE:
                await self.system.base.advance(SOON)
                moved = time.monotonic()
            async with opened(self.system.base.database_urls) as stores:
                waits = await in_flight.on_the_way(stores)
            if waits and time.monotonic() - began > within:
                raise InvariantBroken([f"after {within:.0f} s: {one}" for one in [*await self._broken(), *waits]])
            if waits:
                await asyncio.sleep(POLL)
        self.figures["drained_s"] = round(time.monotonic() - began, 1)
        self.history.note("at rest", after=self.figures["drained_s"])
        snapshot = await self._snapshot()
        if snapshot.broken or snapshot.pending:
            raise InvariantBroken([*snapshot.broken, *snapshot.pending])
        await self._until_queues_are_empty()
        return snapshot

    async def _until_queues_are_empty(self) -> None:
        """Redelivered messages only need to be acknowledged."""
        for _ in range(100):
            if not (left := await self.system.left_in_queues()):
                return
            await asyncio.sleep(POLL)
        raise InvariantBroken([f"the queues still have messages: {left}"])

    async def _snapshot(self) -> Snapshot:
        evidence = Evidence(self.history.accepted, self.injected)
        return await check(self.system.base.database_urls, self.system.base.dana, evidence)

    async def _broken(self) -> Sequence[str]:
        return (await self._snapshot()).broken


class Scenario(Protocol):
    """A module of `lab.faults.scenarios`; its docstring describes the fault and the invariant."""

    __doc__: str | None
    SHORT: Any
    LONG: Any
    """The numbers of the two forms."""

    async def run(self, lab: Lab, size: Any) -> None:
        """Runs the scenario. Raises `InvariantBroken`."""
