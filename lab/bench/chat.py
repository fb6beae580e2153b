"""Live chat under load.

Two clients in each thread, each with its own WebSocket, write a message every few seconds. The benchmark measures the
time from sending a message until it arrives at the two sockets, and counts missing, double and disordered messages.
The system runs on private servers; `--kill chat` or `--kill redis` kills that part meanwhile.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Annotated, Any, Literal

import httpx
import typer
import uvloop

from batalkan import local_servers
from batalkan.local_servers import LocalDeployment
from lab.bench import meters, report
from lab.bench.chat_clients import ChatClient
from lab.concurrency import each
from lab.faults.system import RetryingTransport
from tests.harness.actors import Buyer, Seller
from tests.harness.customer_service import thread_of

SETTLE = 60.0
"""Seconds for the arrival of all messages after the last one was sent."""
AT_ONCE = 32


async def open_threads(system: LocalDeployment, http: httpx.AsyncClient, count: int) -> list[ChatClient]:
    """The clients of so many new threads, two of each."""

    async def make(_: int) -> list[ChatClient]:
        buyer, seller = Buyer.signed(http, system.keys, "buyer"), Seller.signed(http, system.keys, "seller")
        thread_id = await thread_of(buyer, await buyer.place(await seller.offer(), method="cod"))
        return [ChatClient(system, person, thread_id) for person in (buyer, seller)]

    return [client for clients in await each(range(count), make, AT_ONCE) for client in clients]


def total(system: LocalDeployment, meter: Callable[[int], float]) -> float:
    """The sum of a meter over the processes of chat."""
    watched = system.processes.watched.items()
    return sum(meter(one.child.pid) for name, one in watched if name.partition("-")[0] == "chat" and one.child.pid)


async def measure(
    system: LocalDeployment, clients_wanted: int, every: float, seconds: float, kill: str | None, times: int
) -> dict[str, Any]:
    """Runs the load and returns the figures."""
    report.console.print(f"{clients_wanted // 2} threads are created …")
    transport = RetryingTransport(system.transport())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=10) as http:
        clients = await open_threads(system, http, clients_wanted // 2)
        before, connecting = total(system, meters.memory), monotonic()
        listening = [asyncio.create_task(client.run()) for client in clients]
        while not all(client.connections for client in clients) and monotonic() < connecting + SETTLE:
            await asyncio.sleep(0.01)
        connected = monotonic() - connecting
        await asyncio.sleep(1)
        grown = total(system, meters.memory) - before
        report.console.print(f"{len(clients)} clients are connected, and write for {seconds:g} s …")
        spent, began = total(system, meters.cpu_seconds), monotonic()
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.write(every, began + seconds))
            for number in range(times if kill else 0):
                await asyncio.sleep(began + seconds * (number + 1) / (times + 1) - monotonic())
                await kill_part(system, kill)
        took = monotonic() - began
        busy = 0.0 if kill else total(system, meters.cpu_seconds) - spent
        totals: Counter[str] = Counter()
        for client in clients:
            totals[client.thread_id] += len(client.answered)
        end = monotonic() + SETTLE
        while (missing := sum(totals[client.thread_id] - client.last for client in clients)) and monotonic() < end:
            await asyncio.sleep(0.1)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    latencies = [seconds for client in clients for seconds in client.messages.latencies]
    return {
        "clients": len(clients),
        "threads": len(totals),
        "replicas": len(system.origins["chat"]),
        "seconds": round(took, 1),
        "sent": totals.total(),
        "expected": 2 * totals.total(),
        "delivered": len(latencies),
        "missing": missing,
        "gaps": sum(client.messages.fetches - client.connections for client in clients),
        "doubles_or_disorder": sum(client.messages.doubles + len(client.wrong) for client in clients),
        "kills": times if kill else 0,
        "reconnects": sum(client.connections - 1 for client in clients),
        "repeated_requests": transport.again,
        "latency_ms": meters.percentiles(latencies),
        "post_ms": meters.percentiles([seconds for client in clients for seconds in client.answered]),
        "connect_seconds": round(connected, 2),
        "kib_per_connection": round(1024 * grown / len(clients), 1),
        "chat_cpu_percent": round(100 * busy / took) if busy else None,
    }


async def kill_part(system: LocalDeployment, part: str | None) -> None:
    """Kills chat or Redis."""
    if part == "redis":
        await system.servers.redis.kill()
        await system.servers.redis.start()
    else:
        await system.processes.kill("chat")


def main(
    clients: Annotated[int, typer.Option(help="WebSockets, two in each thread.")] = 1000,
    every: Annotated[float, typer.Option(help="Seconds between two messages of a client.")] = 5.0,
    seconds: Annotated[float, typer.Option(help="How long they write.")] = 60.0,
    short: Annotated[bool, typer.Option(help="100 clients for 10 s.")] = False,
    replicas: Annotated[int, typer.Option(help="Processes of chat.")] = 1,
    kill: Annotated[Literal["chat", "redis"] | None, typer.Option(help="What to kill meanwhile.")] = None,
    times: Annotated[int, typer.Option(help="How often to kill it.")] = 5,
    as_json: report.JsonFile = None,
) -> None:
    """Live chat under load. Exit code 1 if a message is missing or, with one replica and no kills, comes twice or out
    of order."""

    async def run() -> dict[str, Any]:
        async with local_servers.running(None, replicas={"chat": replicas}, demonstration=False) as system:
            return await measure(system, 100 if short else clients, every, 10.0 if short else seconds, kill, times)

    figures = report.finish(uvloop.run(run()), as_json, "live chat")
    in_order = kill or figures["replicas"] > 1 or not (figures["gaps"] or figures["doubles_or_disorder"])
    raise typer.Exit(1 if figures["missing"] or not in_order else 0)
