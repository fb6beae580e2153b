"""Live chat under load: `python -m lab.bench.chat [--clients 1000] [--every 5] [--seconds 60] [--json]`.

Two clients in each thread, each with its own WebSocket, write a message every few seconds. The benchmark measures the
time from sending a message until it arrives at the two sockets, and counts missing, double and disordered messages.
Without --origin it starts a system on private servers and also measures the memory of its chat processes; `--kill chat`
or `--kill redis` kills that part meanwhile.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from time import monotonic
from typing import Any

import httpx
import uvloop
from rich.console import Console

from batalkan import local_servers
from contracts.words import Role
from lab.bench import meters, report
from lab.bench.chat_clients import ChatClient, Failed, Requests, Tally
from lab.concurrency import each
from runtime.observability.trace_context import new_id
from services.accounts.domain import Account, Client
from services.accounts.tokens import AccessTokens

SETTLE = 60.0
"""Seconds for the arrival of all messages after the last one was sent."""
AT_ONCE = 32
PASSWORD = token_hex(16)


@dataclass(frozen=True)
class Target:
    """The system under load."""

    http: httpx.AsyncClient
    origins: Sequence[str]
    """The replicas of chat."""
    token: Callable[[str], Awaitable[str]]
    """Creates a user of this role; returns the access token."""
    pids: Callable[[], list[int]]
    """The processes of chat; empty if they are unknown."""
    kill: Callable[[str], Awaitable[None]]


@asynccontextmanager
async def existing_system(origin: str) -> AsyncIterator[Target]:
    """A system that already runs."""
    async with httpx.AsyncClient(base_url=origin, timeout=30, trust_env=False) as http:

        async def token(role: str) -> str:
            email = f"bench-{token_hex(8)}@example.com"
            person = {"email": email, "password": PASSWORD, "name": "Bench", "role": role}
            (await http.post("/accounts", json=person)).raise_for_status()
            form = {"grant_type": "password", "username": email, "password": PASSWORD, "client_id": "web"}
            answer = await http.post("/accounts/token", data=form)
            return str(answer.raise_for_status().json()["access_token"])

        async def kill(part: str) -> None:
            raise Failed("--kill needs a system that the benchmark started; omit --origin")

        yield Target(http, [origin.rstrip("/")], token, list, kill)


@asynccontextmanager
async def own_system(replicas: int, say: Callable[[str], None]) -> AsyncIterator[Target]:
    """A system on private servers, with a process for each service."""
    async with local_servers.running(None, replicas={"chat": replicas}, demonstration=False, say=say) as running:
        tokens = AccessTokens.read(running.keys.signing_key)
        watched = running.processes.watched

        async def token(role: str) -> str:
            account = Account(new_id(), f"{token_hex(8)}@example.com", "Bench", Role(role))
            return tokens.issue(account, Client.WEB, "bench")

        async def kill(part: str) -> None:
            if part == "redis":
                await running.servers.redis.kill()
                await running.servers.redis.start()
            else:
                await running.processes.kill(part)

        def pids() -> list[int]:
            found = [child.child.pid for name, child in watched.items() if name.partition("-")[0] == "chat"]
            return [pid for pid in found if pid]

        async with running.client(timeout=30) as http:
            yield Target(http, running.origins["chat"], token, pids, kill)


async def threads(target: Target, count: int) -> list[tuple[str, str, str]]:
    """Creates threads: id, and the tokens of buyer and seller."""

    async def make(_: int) -> tuple[str, str, str]:
        buyer, seller = await target.token("buyer"), await target.token("seller")
        product = await call(target.http, "/orders/products", seller, title="Kopi", price=50_000, stock=1)
        lines = [{"product_id": product["product_id"], "quantity": 1}]
        order = await call(target.http, "/orders", buyer, lines=lines, payment_method="cod")
        thread = await call(target.http, "/chat/threads", buyer, order_id=order["order_id"])
        return thread["thread_id"], buyer, seller

    return await each(range(count), make, AT_ONCE)


async def call(http: httpx.AsyncClient, path: str, token: str, **body: Any) -> Any:
    """The JSON of an answer; retries after 404, because chat consumes an order's event a moment after it is placed."""
    end = monotonic() + SETTLE
    while True:
        answer = await http.post(path, json=body, headers={"Authorization": f"Bearer {token}"})
        if answer.status_code != 404 or monotonic() > end:
            break
        await asyncio.sleep(0.1)
    if answer.is_error:
        raise Failed(f"POST {path}: {answer.status_code} {answer.text}")
    return answer.json()


def memory_of(target: Target) -> float:
    """Megabytes that the processes of chat hold."""
    return sum(map(meters.memory, target.pids()))


def cpu_of(target: Target) -> float:
    """Seconds of processor time that the processes of chat have used."""
    return sum(map(meters.cpu_seconds, target.pids()))


async def measure(target: Target, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs the load and returns the figures."""
    say(f"{options.clients // 2} threads are created …")
    made = await threads(target, options.clients // 2)
    tally = Tally()
    requests = Requests(target.origins, tally)
    clients = [
        ChatClient(token, thread_id, target.origins, requests, tally) for thread_id, *tokens in made for token in tokens
    ]
    before, connecting = memory_of(target), monotonic()
    listening = [asyncio.create_task(client.listen()) for client in clients]
    async with asyncio.timeout(SETTLE):
        for client in clients:
            await client.connected.wait()
    connected = monotonic() - connecting
    await asyncio.sleep(1)
    grown = memory_of(target) - before
    say(f"{len(clients)} clients are connected, and write for {options.seconds:g} s …")
    spent, began = cpu_of(target), monotonic()
    faults = asyncio.create_task(kill_repeatedly(target, options))
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.write(options.every, began + options.seconds))
    took = monotonic() - began
    busy = 0.0 if options.kill else cpu_of(target) - spent
    await faults
    totals = {thread_id: 0 for thread_id, _, _ in made}
    for client in clients:
        totals[client.thread_id] += client.sent
    try:
        async with asyncio.timeout(SETTLE):
            for client in clients:
                await client.has(totals[client.thread_id])
    except TimeoutError:
        say("some messages have not arrived")
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    await requests.close()
    latency, answered = meters.percentiles(tally.latencies), meters.percentiles(tally.posts)
    return {
        "clients": len(clients),
        "threads": len(made),
        "replicas": len(target.origins),
        "seconds": round(took, 1),
        "sent": sum(totals.values()),
        "expected": 2 * sum(totals.values()),
        "delivered": len(tally.latencies),
        "missing": sum(totals[client.thread_id] - client.last for client in clients),
        "gaps": tally.gaps,
        "doubles_or_disorder": tally.doubles,
        "kills": options.times if options.kill else 0,
        "reconnects": tally.reconnects,
        "repeated_requests": dict(tally.repeated),
        "latency_ms": latency,
        "post_ms": answered,
        "connect_seconds": round(connected, 2),
        "kib_per_connection": round(1024 * grown / len(clients), 1) if target.pids() else None,
        "chat_cpu_percent": round(100 * busy / took) if busy else None,
    }


async def kill_repeatedly(target: Target, options: argparse.Namespace) -> None:
    """Kills the part of --kill, evenly over the time."""
    if options.kill:
        for _ in range(options.times):
            await asyncio.sleep(options.seconds / (options.times + 1))
            await target.kill(options.kill)


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures the chosen system."""

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    system = existing_system(options.origin) if options.origin else own_system(options.replicas, say)
    async with system as target:
        return await measure(target, options, say)


def main() -> None:
    """Measures and prints. Exit code 1 if a message is missing or, with one replica and no kills, comes twice or out of
    order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000, help="WebSockets, two in each thread")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two messages of a client")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they write")
    parser.add_argument("--short", action="store_true", help="100 clients for 10 s")
    parser.add_argument("--origin", help="a system that already runs, such as http://127.0.0.1:8080")
    parser.add_argument("--replicas", type=int, default=1, help="processes of chat, without --origin")
    parser.add_argument("--kill", choices=("chat", "redis"), help="what to kill meanwhile")
    parser.add_argument("--times", type=int, default=5, help="how often to kill it")
    parser.add_argument("--json", action="store_true", help="for a script")
    options = parser.parse_args()
    if options.short:
        options.clients, options.seconds = 100, 10.0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            figures = runner.run(run(options))
        except Failed as error:
            sys.exit(f"bench: {error}")
    if options.json:
        print(json.dumps(figures))
    else:
        report.show_figures(Console(), "live chat", figures)
    in_order = figures["kills"] or figures["replicas"] > 1 or not (figures["gaps"] or figures["doubles_or_disorder"])
    sys.exit(1 if figures["missing"] or not in_order else 0)


if __name__ == "__main__":
    main()
