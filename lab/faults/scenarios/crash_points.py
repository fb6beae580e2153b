"""Services crash at named points: before and after a commit, a publish, a confirm, an acknowledgement, a call to DANA
and its answer. Every accepted cancellation is refunded exactly once."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from batalkan.subprocesses import ChildFailed
from lab.concurrency import each
from lab.faults.crashing_service import ACKNOWLEDGE, COMMIT, DANA, POINTS, PUBLISH
from lab.faults.lab import Lab
from lab.faults.random_faults import DANA_FAULTS
from lab.faults.workload import Workload

EVERYWHERE = (*COMMIT, *PUBLISH, *ACKNOWLEDGE)
ARMED = {"orders": EVERYWHERE, "refunds": DANA, "chat": EVERYWHERE, "cs": EVERYWHERE}
ARMED["notifications"] = (*COMMIT, *ACKNOWLEDGE)  # it publishes nothing
"""Only refunds has the points around DANA; its other points follow when these are done."""
DANA_SLOW = {"mode": "slow", "seconds": 0.02}
AT_ONCE = 6

LONG = {"times": 100, "within": 20}


async def run(lab: Lab, times: int = 1, within: int = 6) -> None:
    """Runs the workload until every point has crashed `times`, each at most `within` visits after a start; then checks
    all invariants."""
    log = lab.history.folder / "crashes.log"
    workload, enough = await Workload.gather(lab), asyncio.Event()
    for name, points in ARMED.items():
        environment = {"CRASH_POINTS": ",".join(points), "CRASH_WITHIN": str(within), "CRASH_LOG": str(log)}
        await arm(lab, name, environment)
    async with asyncio.TaskGroup() as group:
        group.create_task(watch(lab, times, log, enough))
        group.create_task(trouble(lab, enough))
        await each(itertools.takewhile(lambda _: not enough.is_set(), itertools.count()), workload.saga, AT_ONCE)
    await lab.system.disarm()
    await lab.system.base.dana.post("/reset")
    deaths = died(log)
    lab.figures |= {"deaths": deaths.total(), "least": min(deaths.values())}
    await lab.at_rest()


async def arm(lab: Lab, name: str, environment: Mapping[str, str]) -> None:
    """Restarts the service with its points, until it is ready before it reaches one."""
    while True:
        with suppress(ChildFailed):
            return await lab.system.rearm(name, environment, module="lab.faults.crashing_service")


async def watch(lab: Lab, times: int, log: Path, enough: asyncio.Event) -> None:
    """Removes each point that has crashed often enough, until none is left."""
    armed = dict(ARMED)
    while not enough.is_set():
        await asyncio.sleep(0.2)
        deaths = died(log)
        wanted = [point for point in POINTS if deaths[point] < times]
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
