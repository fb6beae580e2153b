"""Run in the operator's container: a queue that gets every event, and at the end the proof that none was lost.

python -c … open      declares the queue
python -c … close     reads it, holds it against the services' databases, prints what it found as JSON, removes it
"""

import asyncio
import json
import os
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel
from pamqp.common import FieldTable

from contracts import EVENTS
from runtime.messaging.bus.connection import nodes
from runtime.messaging.envelope import EXCHANGE
from runtime.storage.database import connect
from services.web.upstream import SERVICES

QUEUE = "tap"
QUORUM: FieldTable = {"x-queue-type": "quorum"}
CONSUMERS = {event.wire_name: set(event.consumed_by) for event in EVENTS}


def secret(path: str) -> str:
    return Path(path).read_text().strip()


@asynccontextmanager
async def channel() -> AsyncIterator[AbstractChannel]:
    url = random.choice(nodes(secret("/run/secrets/broker_url")))
    async with await aio_pika.connect(url) as connection, connection.channel() as opened:
        yield opened


async def begin() -> None:
    async with channel() as opened:
        queue = await opened.declare_queue(QUEUE, durable=True, arguments=QUORUM)
        await queue.bind(EXCHANGE, "#")
    print(json.dumps({service: await published(service) for service in SERVICES}))  # noqa: T201


async def end() -> None:
    before = json.loads(sys.argv[2])
    events: dict[UUID, tuple[str, str]] = {}
    async with channel() as opened:
        await opened.set_qos(1000)
        queue = await opened.declare_queue(QUEUE, durable=True, arguments=QUORUM)
        copies = queue.declaration_result.message_count or 0
        async with queue.iterator() as messages:
            for _ in range(copies):
                message = await anext(messages)
                event = json.loads(message.body)
                events[UUID(event["id"])] = event["source"], event["type"]
                await message.ack()
        await queue.delete(if_unused=False, if_empty=False)
    missing = [
        f"{service}: {event_id} of type {kind}"
        for service in SERVICES
        for event_id, kind in await unseen(service, events)
    ]
    by_source: dict[str, int] = defaultdict(int)
    for source, _ in events.values():
        by_source[source] += 1
    for service in SERVICES:
        if (due := await published(service) - before[service]) != by_source[service]:
            missing.append(f"{service} has published {due} events, and {by_source[service]} came out of the exchange")
    print(json.dumps({"events": len(events), "again": copies - len(events), "missing": missing}))  # noqa: T201


async def unseen(service: str, events: dict[UUID, tuple[str, str]]) -> list[tuple[UUID, str]]:
    """Events that the service hears, and has not handled."""
    due = {
        event_id: kind
        for event_id, (source, kind) in events.items()
        if service in CONSUMERS[kind] and service != source
    }
    seen = {row["event_id"] for row in await fetch(service, "select event_id from inbox")}
    return [(event_id, kind) for event_id, kind in due.items() if event_id not in seen]


async def published(service: str) -> int:
    """How many events the service has published since it exists: nothing waits any more."""
    (row,) = await fetch(
        service,
        "select coalesce(sum(last), 0) as written, (select count(*) from outbox) as waiting from event_sequence",
    )
    return int(row["written"] - row["waiting"])


async def fetch(service: str, query: str) -> list[asyncpg.Record]:
    connection = await connect(secret(os.environ[f"{service.upper()}_DATABASE_URL_FILE"]))
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


asyncio.run({"open": begin, "close": end}[sys.argv[1]]())
