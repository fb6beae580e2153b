"""What every scenario uses: the system under test, a seed, a history, and the check of all invariants."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import httpx

from batalkan.invariants import Evidence, Snapshot, check, in_flight
from batalkan.invariants.stores import opened
from batalkan.operate import database_urls
from lab.faults.history import History
from lab.faults.outcomes import InvariantBroken
from lab.faults.system import SOON, LabSystem
from lab.serving import batalkan_up
from runtime.http.client import http_client
from runtime.settings import Environment
from tests.harness.waiting import eventually

PACE = 1.0
"""Seconds between two steps of the demonstration's clock: after a large step, calls to DANA count as lost."""
POLL = 0.2
"""Seconds between two checks whether the system is at rest."""
ALERTED = 30.0
"""Seconds until an alert must fire or be silent: a service samples its database every ten."""


class Lab:
    """One run of one scenario. Random choices come from `chance`, so that the seed repeats them."""

    def __init__(self, system: LabSystem, history: History, seed: int) -> None:
        self.system, self.history, self.seed = system, history, seed
        self.chance = random.Random(seed)
        self.injected: set[bytes] = set()
        """The SHA-256 of every injected bad message."""
        self.figures: dict[str, Any] = {}
        """Measured figures, for the report."""
        self.expected_alerts: set[str] = set()
        """What has fired, as the scenario expected."""

    def hold(self, condition: bool, sentence: str) -> None:
        """Raises `InvariantBroken` with the sentence unless the condition holds."""
        if not condition:
            raise InvariantBroken([sentence])

    async def recovers(self, within: float) -> None:
        """Every process is ready within so many seconds; the slowest recovery is a figure. Raises `InvariantBroken`."""
        began = time.monotonic()
        await self.system.running.processes.ready()
        back = round(time.monotonic() - began, 2)
        self.history.note("ready", after=back)
        self.figures["slowest_back_s"] = max(back, self.figures.get("slowest_back_s", 0.0))
        self.hold(back < within, f"a service was not ready {back} s after its server was")

    async def until_fires(self, alert: str) -> None:
        """Waits until the alert fires. Raises `InvariantBroken`."""
        self.expected_alerts.add(alert)
        await self._until(alert, fires=True)

    async def until_silent(self, alert: str) -> None:
        """Waits until the alert does not fire. Raises `InvariantBroken`."""
        await self._until(alert, fires=False)

    async def _until(self, alert: str, *, fires: bool) -> None:
        async def as_expected() -> bool:
            return bool(await self.system.alerts.active(alert, "firing")) is fires

        try:
            await eventually(as_expected, within=ALERTED, every=0.2)
        except TimeoutError:
            raise InvariantBroken([f"{alert} {'did not fire' if fires else 'still fires'}"]) from None

    @asynccontextmanager
    async def embedded(self, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
        """Another system, `batalkan up`, with its data in that folder; its log is stored with the history."""
        async with (
            batalkan_up(folder, self.history.folder / "up.log") as (_, origin),
            http_client(base_url=origin, timeout=30) as http,
        ):
            yield http

    async def embedded_at_rest(self, folder: Path, within: float = 60.0) -> None:
        """Waits until nothing is in flight in that system, then checks its invariants. Raises `InvariantBroken`."""
        async with database_urls(Environment({}), folder) as urls:
            look = partial(check, urls, evidence=Evidence(self.history.accepted, parts=self.history.parts))
            await eventually(look, within, every=0.2, enough=lambda snapshot: not snapshot.pending)
            snapshot = await look()  # check again: changes during the first check look like violations
        self.hold(not snapshot.broken, "; ".join(snapshot.broken))

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
                broken = (await self._snapshot()).broken
                raise InvariantBroken([f"after {within:.0f} s: {one}" for one in [*broken, *waits]])
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
        evidence = Evidence(self.history.accepted, self.injected, parts=self.history.parts)
        return await check(self.system.base.database_urls, self.system.base.dana, evidence)


class Scenario(Protocol):
    """A module of `lab.faults.scenarios`; its docstring describes the fault and the invariant."""

    __doc__: str | None
    LONG: Mapping[str, Any]
    """The numbers of the long form."""
    ALERTS: Collection[str]
    """The alerts that the fault may fire; none, if it is missing."""
    run: Callable[..., Awaitable[None]]
    """Runs the scenario with a `Lab`; further parameters are its numbers, whose defaults are those of the short form.
    Raises `InvariantBroken`."""
