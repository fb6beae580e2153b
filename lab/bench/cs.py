"""How fast a case is routed while many wait.

An agent closes a case and becomes free. The benchmark measures the time until the answer, and until the queue's next
case arrives at the agent's WebSocket; all services run in this process, with the embedded PostgreSQL.
"""

import asyncio
import json
import logging
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
import uvloop
from websockets.asyncio.client import connect

from batalkan import system
from batalkan.operate import connected
from batalkan.system import Where
from lab.bench import meters, report
from lab.bench.seed import TRACEPARENT
from lab.serving import one_origin
from runtime.http.client import http_client
from tests.harness.actors import Agent

QUEUE = f"""
insert into cases (case_id, buyer_id, state, opened_at, spoken_at, correlation_id, traceparent)
select gen_random_uuid(), gen_random_uuid(), 'waiting', now(), now(), gen_random_uuid(), {TRACEPARENT}
from generate_series(1, $1)
from runtime.http.client import http_client
"""


async def measure(waiting: int, closings: int) -> dict[str, Any]:
    """The figures; times in milliseconds."""
    answered, routed, held = [], [], list[str]()
    with tempfile.TemporaryDirectory(prefix="batalkan-bench-") as folder:
        async with (
            system.running(Where(Path(folder))) as running,
            connected(running.database_urls["cs"]) as database,
            one_origin(running.app) as origin,
            http_client(base_url=origin) as http,
        ):
            await database.execute(QUEUE, waiting + closings + 3)
            agent = await Agent.sign_in(http, "agent@example.com", "batalkan-demo", "web")
            ticket = (await agent.send("/cs/tickets"))["ticket"]
            async with connect(f"{origin.replace('http', 'ws')}/cs/live?ticket={ticket}", proxy=None) as live:

                async def until_busy() -> None:
                    while len(held) < 3:
                        frame = json.loads(await live.recv())
                        if frame["type"] == "case" and frame["state"] == "active" and frame["case_id"] not in held:
                            held.append(frame["case_id"])

                await agent.duty()
                await until_busy()
                for _ in range(closings):
                    started = perf_counter()
                    path = f"/cs/cases/{held.pop(0)}/close"
                    close = asyncio.create_task(agent.ask("POST", path, {"outcome": "answered"}))
                    await until_busy()
                    routed.append(perf_counter() - started)
                    (await close).raise_for_status()
                    answered.append(perf_counter() - started)
            left = await database.fetchval("select count(*) from cases where state = 'waiting'")
    return {
        "waiting": left,
        "closings": closings,
        "routed_ms": meters.percentiles(routed),
        "answered_ms": meters.percentiles(answered),
    }


def main(
    waiting: Annotated[int, typer.Option(help="Cases in the queue at the end.")] = 1000,
    closings: Annotated[int, typer.Option(help="Number of cases that the agent closes.")] = 200,
    as_json: report.JsonFile = None,
) -> None:
    """Measure how fast a case is routed while many wait."""
    logging.basicConfig(level=logging.ERROR)
    report.finish(uvloop.run(measure(waiting, closings)), as_json, "routing")
