"""The connections of orders and refunds to RabbitMQ and PostgreSQL are cut, delayed, and left half-open: every accepted
cancellation is refunded exactly once."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from lab.faults.lab import Lab
from lab.faults.workload import Workload
from tests.harness.proxy import Proxy, proxied

THROUGH = ("orders", "refunds")


@dataclass(frozen=True)
class Size:
    """The number of cuts; the delay of each chunk and its duration; seconds half-open; the number of sagas."""

    cuts: int
    delay: float
    slow: float
    half_open: float
    sagas: int


SHORT = Size(cuts=6, delay=0.02, slow=2, half_open=2, sagas=80)
LONG = Size(cuts=100, delay=0.1, slow=30, half_open=30, sagas=2_000)


async def run(lab: Lab, size: Size) -> None:
    """Disturbs one server's connections after the other, under load."""
    workload, servers = await Workload.gather(lab), lab.system.running.servers
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(proxied(servers.rabbitmq.port))
        database = await stack.enter_async_context(proxied(servers.postgres.port))
        for name in THROUGH:
            environment = servers.environment(name)
            urls = {"BROKER_URL": broker.through(environment["BROKER_URL"])}
            await lab.system.rearm(name, {**urls, "DATABASE_URL": database.through(environment["DATABASE_URL"])})
        await workload.run_while(size.sagas, strike(lab, size, {"broker": broker, "database": database}))
        lab.figures |= {"cancels": len(lab.history.accepted), "cuts": 2 * size.cuts}
        await lab.at_rest()
        await lab.system.disarm()


async def strike(lab: Lab, size: Size, proxies: dict[str, Proxy]) -> None:
    """Disturbs the connections of each server in turn."""
    for name, proxy in proxies.items():
        await disturb(lab, size, proxy, name)


async def disturb(lab: Lab, size: Size, proxy: Proxy, name: str) -> None:
    """Cuts, delays, and leaves half-open."""
    for _ in range(size.cuts):
        await asyncio.sleep(lab.chance.uniform(0.1, 0.5))
        lab.history.note("cut", to=name)
        proxy.cut()
    lab.history.note("slow", to=name, seconds=size.slow)
    proxy.delay = size.delay
    await asyncio.sleep(size.slow)
    proxy.delay = 0.0
    lab.history.note("half-open", to=name, seconds=size.half_open)
    proxy.swallow()
    await asyncio.sleep(size.half_open)
    proxy.pass_on()
