"""Shared by both sides: the database, the outbox with its relay to RabbitMQ, the inbox."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from faststream.rabbit import ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream_outbox import OutboxBroker, make_outbox_table
from pydantic import BaseModel
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

NAME = urlsplit(os.environ["BROKER_URL"]).username or ""
OTHER = NAME.replace("orders", "refunds") if "orders" in NAME else NAME.replace("refunds", "orders")

metadata = MetaData()
outbox_table = make_outbox_table(metadata, table_name="faststream_outbox")
engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"), pool_size=10, max_overflow=10
)
session_factory = async_sessionmaker(engine, expire_on_commit=False)
rabbit = RabbitBroker(os.environ["BROKER_URL"], logger=None)
outbox = OutboxBroker(engine, outbox_table=outbox_table, logger=None)
exchange = RabbitExchange("batalkan.events", type=ExchangeType.TOPIC, durable=True)


class SagaEvent(BaseModel):
    """The body of a message."""

    event_id: str
    order_id: str
    data: dict[str, Any]


def relay(routing_key: str) -> None:
    """Publishes the outbox's messages of this key."""

    @rabbit.publisher(exchange=exchange, routing_key=routing_key, persist=True, mandatory=True)
    @outbox.subscriber(
        routing_key,
        max_workers=16,
        fetch_batch_size=100,
        min_fetch_interval=0.01,
        max_fetch_interval=1.0,
        terminal_flush_batch_size=50,
    )
    async def publish(body: SagaEvent) -> SagaEvent:
        return body


def queue(routing_key: str) -> RabbitQueue:
    """This side's queue, bound to the key that it consumes."""
    return RabbitQueue(NAME, queue_type=QueueType.QUORUM, durable=True, routing_key=routing_key)


async def is_new(session: AsyncSession, event: SagaEvent) -> bool:
    """Inserts the event into the inbox; false for a duplicate."""
    statement = "insert into inbox (event_id) values (:id) on conflict do nothing returning event_id"
    return (await session.execute(text(statement), {"id": event.event_id})).first() is not None


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Creates the outbox's table, and starts and stops both brokers with the application."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await rabbit.start()
    await outbox.start()
    yield
    await outbox.stop()
    await rabbit.stop()


def application() -> FastAPI:
    """The application of a side."""
    return FastAPI(lifespan=_lifespan)
