"""Random faults under load: services are killed, and DANA simulates all of its faults."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from batalkan.local_servers import DANA
from lab.faults.lab import Lab
from services import SERVICES

KILLABLE = (*SERVICES, DANA)
START = 240.0
"""Seconds until a service must be ready again, on a very busy machine."""
DANA_FAULTS: tuple[dict[str, Any], ...] = (
    {"mode": "drop_before"},
    {"mode": "drop_after"},
    {"mode": "timeout_after", "seconds": 2},
    {"mode": "fail", "recorded": False},
    {"mode": "throttle"},
    {"mode": "pending", "seconds": 1},
    {"mode": "down"},
)


async def kill_services(lab: Lab, goes_on: Callable[[], bool], pause: tuple[float, float]) -> Counter[str]:
    """Kills services that are ready, with a random pause between two kills, and each once before any twice; returns the
    number of kills of each."""
    hit: Counter[str] = Counter(dict.fromkeys(KILLABLE, 0))
    while goes_on():
        await asyncio.sleep(lab.chance.uniform(*pause))
        fewest = min(hit.values())
        name = lab.chance.choice([one for one in KILLABLE if hit[one] == fewest] if not fewest else list(KILLABLE))
        # Otherwise, on a busy machine, a service would never live long enough to do anything.
        await lab.system.running.processes.ready(name, timeout=START)
        lab.history.note("kill", process=name)
        await lab.system.running.processes.kill(name)
        hit[name] += 1
        await upset_dana(lab)
    return hit


async def calm_dana(lab: Lab) -> None:
    """Ends DANA's faults; DANA itself may have been killed last."""
    await lab.system.running.processes.ready(DANA, timeout=START)
    (await lab.system.base.dana.post("/reset")).raise_for_status()


async def upset_dana(lab: Lab) -> None:
    """Sets a fault for DANA's next calls; DANA itself may have just been killed."""
    fault = {**lab.chance.choice(DANA_FAULTS), "times": 5}
    lab.history.note("dana", **fault)
    await asyncio.gather(lab.system.base.dana.put("/faults", json=fault), return_exceptions=True)
