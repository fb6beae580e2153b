"""Services crash at named points: before and after a commit, a publish, a confirm, an acknowledgement, a call to DANA
and its answer. Every accepted cancellation is refunded exactly once."""

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lab.concurrency import each
from lab.faults.crashing_service import ACKNOWLEDGE, COMMIT, DANA, POINTS, PUBLISH
from lab.faults.lab import Lab
from lab.faults.random_faults import DANA_FAULTS
from lab.faults.workload import Workload

EVERYWHERE = (*COMMIT, *PUBLISH, *ACKNOWLEDGE)
ARMED = {"orders": EVERYWHERE, "refunds": DANA, "chat": EVERYWHERE, "cs": EVERYWHERE}
"""Only refunds has the points around DANA; its other points follow when these are done."""
DANA_SLOW = {"mode": "slow", "seconds": 0.02}
AT_ONCE = 12


@dataclass(frozen=True)
class Size:
    """Crashes at each point, and the maximum number of visits until a crash."""

    times: int
    within: int


SHORT = Size(1, 6)
LONG = Size(100, 20)


async def run(lab: Lab, size: Size) -> None:
    """Runs the workload until every point has crashed often enough; then checks all invariants."""
    log = lab.history.folder / "crashes.log"
    workload, enough = await Workload.gather(lab), asyncio.Event()
    for name, points in ARMED.items():
        await arm(lab, name, points, size, log)
    async with asyncio.TaskGroup() as group:
        group.create_task(watch(lab, size, log, enough))
        group.create_task(trouble(lab, enough))
        await each(itertools.takewhile(lambda _: not enough.is_set(), itertools.count()), workload.saga, AT_ONCE)
    await lab.system.disarm()
    await lab.system.base.dana.post("/reset")
    deaths = died(log)
    lab.figures |= {"cancels": len(lab.history.accepted), "deaths": deaths.total(), "least": min(deaths.values())}
    await lab.at_rest()


async def arm(lab: Lab, name: str, points: tuple[str, ...], size: Size, log: Path) -> None:
    """Restarts the service so that it crashes at one of the points."""
    environment = {"CRASH_POINTS": ",".join(points), "CRASH_WITHIN": str(size.within), "CRASH_LOG": str(log)}
    await lab.system.rearm(name, environment, module="lab.faults.crashing_service")


async def watch(lab: Lab, size: Size, log: Path, enough: asyncio.Event) -> None:
    """Removes each point that has crashed often enough, until none is left."""
    armed = dict(ARMED)
    while not enough.is_set():
        await asyncio.sleep(0.2)
        deaths = died(log)
        wanted = [point for point in POINTS if deaths[point] < size.times]
        for name, points in ARMED.items():
            mine = points if name != "refunds" else POINTS
            left = tuple(point for point in mine if point in wanted) or mine
            if left != armed[name]:
                armed[name] = left
                child = lab.system.running.processes.watched[name].child
                child.env = {**(child.env or {}), "CRASH_POINTS": ",".join(left)}
        if not wanted:
            enough.set()


async def trouble(lab: Lab, enough: asyncio.Event) -> None:
    """Sets faults of DANA."""
    while not enough.is_set():
        fault = lab.chance.choice([*DANA_FAULTS, DANA_SLOW])
        await asyncio.gather(lab.system.base.dana.put("/faults", json={**fault, "times": 3}), return_exceptions=True)
        await asyncio.sleep(1.0)


def died(log: Path) -> Counter[str]:
    """The number of crashes at each point."""
    found = Counter(dict.fromkeys(POINTS, 0))
    found.update(log.read_text().split() if log.exists() else ())
    return found
