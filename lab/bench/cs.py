"""How fast a case is routed while many wait: `python -m lab.bench.cs [--waiting 1000] [--closings 200] [--json]`.

An agent closes a case and becomes free. The benchmark measures the time until the answer, and until the queue's next
case arrives at the agent's WebSocket; all services run in this process, with the embedded PostgreSQL.
"""

import argparse
import asyncio
import json
import logging
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import uvicorn
import uvloop
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

from batalkan import system
from batalkan.system import Where
from lab.bench import meters
from runtime.live.server import WEBSOCKETS
from runtime.storage.database import connect as connect_database

QUEUE = """
insert into cases (case_id, buyer_id, state, opened_at, spoken_at, correlation_id, traceparent)
select gen_random_uuid(), gen_random_uuid(), 'waiting', now(), now(), gen_random_uuid(),
       '00-' || repeat('a', 32) || '-' || repeat('b', 16) || '-01'
from generate_series(1, $1)
"""
AGENT = {
    "grant_type": "password",
    "username": "agent@example.com",
    "password": "batalkan-demo",
    "client_id": "web",
}


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """All services on a free port: the address, and the database URL of `cs`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        async with system.running(Where(folder)) as running:
            config = uvicorn.Config(running.app, log_config=None, access_log=False, lifespan="off", **WEBSOCKETS)
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve([listening]))
            yield f"127.0.0.1:{listening.getsockname()[1]}", running.database_urls["cs"]
            server.should_exit = True
            await task


async def measure(waiting: int, closings: int) -> dict[str, Any]:
    """The figures; times in milliseconds."""
    closing, routed = [], []
    with tempfile.TemporaryDirectory(prefix="batalkan-bench-") as folder:
        async with serving(Path(folder)) as (origin, database_url):
            database = await connect_database(database_url)
            await database.execute(QUEUE, waiting + closings + 3)
            async with httpx.AsyncClient(base_url=f"http://{origin}", trust_env=False) as http:
                token = (await http.post("/accounts/token", data=AGENT)).raise_for_status().json()["access_token"]
                http.headers["Authorization"] = f"Bearer {token}"
                ticket = (await http.post("/cs/tickets")).raise_for_status().json()["ticket"]
                async with connect(f"ws://{origin}/cs/live?ticket={ticket}", proxy=None) as live:
                    held: list[str] = []
                    (await http.put("/cs/duty", json={"on": True})).raise_for_status()
                    while len(held) < 3:
                        held += given(json.loads(await live.recv()), held)
                    for _ in range(closings):
                        started = perf_counter()
                        close = asyncio.create_task(
                            http.post(f"/cs/cases/{held.pop(0)}/close", json={"outcome": "answered"})
                        )
                        while len(held) < 3:
                            held += given(json.loads(await live.recv()), held)
                        routed.append(perf_counter() - started)
                        (await close).raise_for_status()
                        closing.append(perf_counter() - started)
            left = await database.fetchval("select count(*) from cases where state = 'waiting'")
            await database.close()
    return {
        "waiting": left,
        "closings": closings,
        "routed_ms": meters.percentiles(routed),
        "answered_ms": meters.percentiles(closing),
    }


def given(frame: dict[str, Any], held: list[str]) -> list[str]:
    """The id of the new case in this frame, if there is one."""
    new = frame["type"] == "case" and frame["state"] == "active" and frame["case_id"] not in held
    return [frame["case_id"]] if new else []


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, default=1000, help="cases in the queue at the end")
    parser.add_argument("--closings", type=int, default=200, help="number of cases that the agent closes")
    parser.add_argument("--json", action="store_true", help="for a script")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(arguments.waiting, arguments.closings))
    if arguments.json:
        print(json.dumps(figures))
        return
    table = Table(title=f"Routing with {figures['waiting']} cases waiting, {figures['closings']} closed (ms)")
    for column in ("an agent becomes free", "p50", "p99", "max"):
        table.add_column(column, justify="left" if column.startswith("an") else "right")
    for name, key in (
        ("the next case arrives at the agent's socket", "routed_ms"),
        ("the answer arrives", "answered_ms"),
    ):
        table.add_row(name, *(f"{figures[key][cut]:.1f}" for cut in ("p50", "p99", "max")))
    Console().print(table)


if __name__ == "__main__":
    main()
