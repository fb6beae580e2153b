"""Run inside the container of `orders`, with all that it has: tries what must be refused, and prints each refusal."""

import asyncio
import sys
from collections.abc import Awaitable
from pathlib import Path

import aio_pika
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from runtime.storage.database import connect

DATABASE, BROKER, REDIS = (Path(f"/run/secrets/{kind}_url").read_text() for kind in ("database", "broker", "redis"))


async def refused(what: str, attempt: Awaitable[object]) -> None:
    try:
        await attempt
    except Exception as error:
        print(what, type(error).__name__)  # noqa: T201 - the test reads it
    else:
        sys.exit(f"{what} was allowed")


async def databases() -> None:
    await (await connect(DATABASE)).close()
    await refused("database", connect(DATABASE.removesuffix("orders") + "accounts"))
    await refused("superuser", connect("postgresql://postgres:postgres@postgres"))


async def redis() -> None:
    async with Redis.from_url(REDIS) as own:
        await own.set("orders:mine", 1, ex=1)
        await refused("key", own.get("accounts:anything"))
        await refused("flush", own.flushall())
        await refused("scan", own.scan())
    async with Redis(host="redis", retry=Retry(NoBackoff(), 0)) as default_user:
        await refused("default", default_user.ping())


async def broker() -> None:
    async with await aio_pika.connect(BROKER) as connection:
        own = await (await connection.channel()).get_exchange("batalkan.events")
        await own.publish(aio_pika.Message(b"{}"), "orders.Nothing", mandatory=False)
        queue = await (await connection.channel()).get_queue("refunds", ensure=False)
        await refused("queue", queue.get())
        exchange = await (await connection.channel()).get_exchange("batalkan.events")
        await refused("forged", exchange.publish(aio_pika.Message(b"{}"), "refunds.RefundIssued"))
    await refused("guest", aio_pika.connect("amqp://guest:guest@rabbitmq/"))


async def main() -> None:
    await databases()
    await redis()
    await broker()


asyncio.run(main())
