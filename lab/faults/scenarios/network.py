"""The connections of orders and refunds to RabbitMQ and PostgreSQL are cut, delayed, and left half-open: every accepted
cancellation is refunded exactly once."""

import asyncio
from contextlib import AsyncExitStack

from lab.faults.lab import Lab
from lab.faults.workload import Workload
from tests.harness.proxy import Proxy, proxied

THROUGH = ("orders", "refunds")

ALERTS = {"SamplesFail", "DeadlinesFail"}
LONG = {"cuts": 100, "delay": 0.1, "slow": 30, "half_open": 30, "sagas": 2_000}


async def run(
    lab: Lab, cuts: int = 6, delay: float = 0.02, slow: float = 2.0, half_open: float = 2.0, sagas: int = 80
) -> None:
    """Disturbs one server's connections after the other, under load: so many `cuts`; a `delay` of each chunk, and its
    duration; seconds half-open."""
    workload, servers = await Workload.gather(lab), lab.system.running.servers
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(proxied(servers.rabbitmq.port))
        database = await stack.enter_async_context(proxied(servers.postgres.port))
        for name in THROUGH:
            environment = servers.environment(name)
            urls = {"BROKER_URL": broker.through(environment["BROKER_URL"])}
            await lab.system.rearm(name, {**urls, "DATABASE_URL": database.through(environment["DATABASE_URL"])})
        await workload.run_while(
            sagas, strike(lab, {"broker": broker, "database": database}, cuts, delay, slow, half_open)
        )
        await lab.at_rest()
        await lab.system.disarm()


async def strike(lab: Lab, proxies: dict[str, Proxy], cuts: int, delay: float, slow: float, half_open: float) -> None:
    """Cuts the connections of each server in turn, delays them, and leaves them half-open."""
    for name, proxy in proxies.items():
        for _ in range(cuts):
            await asyncio.sleep(lab.chance.uniform(0.1, 0.5))
            lab.history.note("cut", to=name)
            proxy.cut()
        lab.history.note("slow", to=name, seconds=slow)
        proxy.delay = delay
        await asyncio.sleep(slow)
        proxy.delay = 0.0
        lab.history.note("half-open", to=name, seconds=half_open)
        proxy.swallow()
        await asyncio.sleep(half_open)
        proxy.pass_on()
