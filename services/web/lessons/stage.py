"""Lets the thing of a lesson happen in the running system: a cancellation, and the fault that belongs to it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from runtime.errors import Refusal
from services.web.lessons.people import People
from services.web.upstream import SERVICES, Upstream, granted

DAY = 24
"""Hours."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scene:
    """What happens in a lesson. `switches` (by service; the others are normal) and DANA's `weather` hold from before
    the order is placed until `seconds` after it is cancelled."""

    switches: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    weather: str = "well"
    seconds: float = 0.0
    dana: bool = False
    poison: bool = False
    silence: bool = False
    """Through customer service: the seller is silent for 24 hours, by the clock of all services."""


SCENES: Mapping[str, Scene] = {
    "outbox": Scene({"orders": {"connected": False}}, seconds=4),
    "inbox": Scene({"refunds": {"once": False}}, seconds=4),
    "saga": Scene({"refunds": {"consuming": False}}, seconds=4),
    "deadlines": Scene(silence=True),
    "unknown": Scene(weather="timing_out", seconds=3, dana=True),
    "poison": Scene(poison=True),
    "order": Scene({"orders": {"connected": False}}, seconds=3),
    "backoff": Scene({name: {"connected": False} for name in SERVICES}, seconds=7),
}


class Stage:
    """Plays the scenes."""

    def __init__(self, upstream: Upstream, people: People, move_clock: Callable[[int], Awaitable[object]]) -> None:
        """`move_clock` moves the clock of this service by hours, as `play` does for the others."""
        self._upstream = upstream
        self._people = people
        self._move_clock = move_clock
        self.mending: set[asyncio.Task[None]] = set()

    async def play(self, name: str) -> str:
        """Plays the scene of a lesson; returns the id of its order. Raises `ServiceAway`, `Refused`."""
        scene = SCENES[name]
        if scene.silence:
            order = await self._people.be_ignored()
            hours = {"hours": DAY}
            moved = [self._send("POST", f"/{service}/demonstration/clock", hours) for service in SERVICES]
            await asyncio.gather(*moved, self._move_clock(DAY))
            return order
        await self._people.prepare(dana=scene.dana)
        if scene.poison:
            await self._send("POST", "/orders/demonstration/poison")
        await self._set(scene, broken=True)
        try:
            (order,) = await self._people.cancel(1, dana=scene.dana)
        finally:
            task = asyncio.create_task(self._mend(scene))
            self.mending.add(task)
            task.add_done_callback(self.mending.discard)
        return order

    async def _mend(self, scene: Scene) -> None:
        await asyncio.sleep(scene.seconds)
        try:
            await self._set(scene, broken=False)
        except Refusal as error:
            log.warning("a fault stays until its switch resets: %r", error)

    async def _set(self, scene: Scene, *, broken: bool) -> None:
        for service, switches in scene.switches.items():
            await self._send("PUT", f"/{service}/demonstration/switches", switches if broken else {})
        if scene.weather != "well":
            await self._send("PUT", "/refunds/demonstration/dana", {"weather": scene.weather if broken else "well"})

    async def _send(self, method: str, path: str, body: object = None) -> None:
        granted(await self._upstream.ask(method, path, json=body))

    async def stop(self) -> None:
        """Leaves the faults to their switches, which reset."""
        for task in self.mending:
            task.cancel()
