"""The clocks of all service processes are 25 hours ahead, then 25 hours behind: no window opens or closes early or
late, and every refund arrives."""

import asyncio
from datetime import timedelta
from time import time

from batalkan.servers.packages import PACKAGES, find
from lab.faults.lab import Lab
from lab.faults.outcomes import CannotRun
from lab.faults.workload import Workload
from services import SERVICES

OFF = 25 * 3600
WINDOW = timedelta(hours=24)

LONG = {"sagas": 500}


async def run(lab: Lab, sagas: int = 20) -> None:
    """Runs `sagas` at each wrong time; then cancels an order that is too old, and one that is not. Raises
    `CannotRun`."""
    library = find("faketime")
    if not library:
        raise CannotRun(f"the scenario needs libfaketime: apt-get install {PACKAGES['faketime']}")
    for off in (OFF, -OFF):
        workload = await Workload.gather(lab)  # while DANA still accepts the service's signatures
        lab.history.note("clocks", off=off)
        environment = {"LD_PRELOAD": str(library), "FAKETIME": f"{off:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        await asyncio.gather(*(lab.system.rearm(name, environment) for name in SERVICES))
        workload.at(time() + off)
        await workload.sagas(sagas)
        await the_window(lab, workload)
        await lab.system.disarm()  # DANA refuses every request with a wrong time, queries too
        await lab.at_rest()
    lab.figures["off_s"] = OFF


async def the_window(lab: Lab, workload: Workload) -> None:
    """By the database's clock an order can be cancelled for 24 hours, and not a minute longer."""
    (buyer, young), (_, old) = await workload.paid(2, at_once=1)
    await lab.system.base.advance(WINDOW - timedelta(minutes=2))
    await workload.cancel(buyer, young)
    await lab.system.base.advance(timedelta(minutes=3))
    refused = await workload.buyers[1].cancel(old)
    lab.hold(
        refused.status_code == 409 and refused.json()["code"] == "window_closed",
        f"after the window, cancelling was answered {refused.text}",
    )
