"""PostgreSQL becomes read-only, as after a failover, while orders are cancelled: services answer writes with 503, still
read, are not ready, and recover when PostgreSQL accepts writes again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from batalkan.operate import connected
from lab.faults.lab import Lab
from lab.faults.workload import Workload
from services import SERVICES
from tests.harness.waiting import eventually

BACK = 10.0
"""Seconds after PostgreSQL accepts writes until every service is ready."""

ALERTS = {"SamplesFail"}
LONG = {"times": 20, "seconds": 5.0, "sagas": 4_000}


async def run(lab: Lab, times: int = 1, seconds: float = 2.0, sagas: int = 60) -> None:
    """Makes PostgreSQL read-only under load, so many `times`, for so many `seconds`."""
    workload = await Workload.gather(lab)
    await workload.run_while(sagas, strike(lab, workload, times, seconds))
    await lab.at_rest()


async def strike(lab: Lab, workload: Workload, times: int, seconds: float) -> None:
    """Makes it read-only several times; all services recover, without a restart."""
    before = [lab.system.running.processes.watched[name].child.pid for name in SERVICES]
    for _ in range(times):
        await asyncio.sleep(lab.chance.uniform(0.5, 1.5))
        async with read_only(lab):
            ends = time.monotonic() + seconds
            await check_answers(lab, workload)
            await asyncio.sleep(ends - time.monotonic())
        await lab.recovers(BACK)
    after = [lab.system.running.processes.watched[name].child.pid for name in SERVICES]
    lab.hold(before == after, "a service was restarted")


async def check_answers(lab: Lab, workload: Workload) -> None:
    """Every service is live and not ready; ordering is refused, and the catalogue can be read."""

    async def noticed() -> bool:
        return all([(await lab.system.ready(name))[0] == 503 for name in SERVICES])

    await eventually(noticed)
    for name in SERVICES:
        lives = (await lab.system.plain.get(f"/{name}/health/live")).status_code
        serves = (await lab.system.plain.get(f"/{name}/health/serving")).status_code
        lab.hold((lives, serves) == (200, 503), f"{name} lives: {lives}, serves: {serves}")
    wanted = {"lines": [{"product_id": workload.products[0], "quantity": 1}], "payment_method": "bank_transfer"}
    refused = await replace(workload.buyers[0], http=lab.system.plain).ask("POST", "/orders", wanted)
    answer = (refused.status_code, refused.json()["code"], "retry-after" in refused.headers)
    lab.hold(answer == (503, "database_unavailable", True), f"ordering was answered {answer}")
    read = await lab.system.plain.get("/orders/products")
    lab.hold(read.is_success, f"the catalogue was answered {read.status_code}")


@asynccontextmanager
async def read_only(lab: Lab) -> AsyncIterator[None]:
    """Inside the block no session of PostgreSQL can write, neither an existing nor a new one."""
    async with connected(lab.system.running.servers.postgres.admin_url) as admin:
        lab.history.note("read-only")
        await admin.execute("alter system set default_transaction_read_only = on")
        await admin.execute("select pg_reload_conf()")
        try:
            yield
        finally:
            await admin.execute("alter system reset default_transaction_read_only")
            await admin.execute("select pg_reload_conf()")
            lab.history.note("not read-only any more")
