"""DANA simulates all of its faults, and is killed: each refund is paid exactly once, to DANA or to Lazada Credit."""

from batalkan.local_servers import DANA
from lab.concurrency import each
from lab.faults.lab import Lab
from lab.faults.random_faults import DANA_FAULTS
from lab.faults.workload import Workload
from tests.harness.actors import Buyer

LONG = {"refunds": 150}


async def run(lab: Lab, refunds: int = 4) -> None:
    """Runs one fault after the other; each lasts for as many calls as there are `refunds`."""
    workload, control = await Workload.gather(lab), lab.system.base.dana
    for fault in DANA_FAULTS:
        orders = [one for one in await workload.paid(2 * refunds) if one[0] in workload.buyers[::2]]
        lab.history.note("dana", **fault)
        (await control.put("/faults", json={**fault, "times": refunds})).raise_for_status()
        await each(orders, lambda one: in_parts(workload, *one), 12)
        if fault["mode"] == "drop_after":
            await lab.system.running.processes.kill(DANA)
            await lab.system.running.processes.ready(DANA)
        await lab.at_rest()
    lab.figures["paid by DANA"] = len(await lab.system.base.dana_payments())


async def in_parts(workload: Workload, buyer: Buyer, order_id: str) -> None:
    """One piece, and then what is left: two refunds, if the order has several pieces."""
    await workload.cancel_part(buyer, order_id)
    await workload.cancel(buyer, order_id)
