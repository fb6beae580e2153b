"""Connections to RabbitMQ. They do not recover by themselves: after a failure the owner (relay, consumer) opens a new
one, because only the owner knows what was in flight.

The broker may be a cluster: `connect` tries its nodes in random order until one accepts.
This uses aiormq, the layer below aio-pika, which needs less time for each message.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import cast
from urllib.parse import urlsplit

import aiormq
from aiormq import Channel
from pamqp.common import FieldTable
from yarl import URL

from runtime.messaging.bus import BusError

HEARTBEAT = 8
"""Seconds. Two missed ones take as long as the nodes of a cluster need to notice that one of them is gone."""
CONNECT_TIMEOUT = 10.0
"""Seconds for all nodes together: a frozen node accepts a connection and does not answer."""
CLOSE_TIMEOUT = 2.0
FRAMES = 1024


@contextmanager
def bus_errors(doing: str) -> Iterator[None]:
    """Turns every exception of the client library into a `BusError`; then the connection is closed.

    When a connection breaks, the library raises many types of exceptions in those that wait on it, `CancelledError`
    among them. A cancellation is real only if the current task is being cancelled.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BusError(f"{doing}: the connection to RabbitMQ was lost") from None
    except BusError:
        raise
    except Exception as error:
        raise BusError(f"{doing}: {error!r}") from error


class RabbitConnection(aiormq.Connection):
    # With the library's ten, each ten messages wait for a turn of the event loop: two seconds for a batch of the relay
    # under many requests.
    FRAME_BUFFER_SIZE = FRAMES
    # Two missed heartbeats, as in AMQP and the broker. With the library's three, a client of a node that was cut off
    # would wait for 33 s.
    HEARTBEAT_GRACE_MULTIPLIER = 2


async def open_channel(connection: RabbitConnection, **options: bool) -> Channel:
    return cast(Channel, await connection.channel(frame_buffer_size=FRAMES, **options))


async def close(connection: RabbitConnection) -> None:
    """Closes the connection; never raises, and waits at most `CLOSE_TIMEOUT` for the broker."""
    with suppress(BusError), bus_errors("closing"):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await connection.close()


def nodes(url: str) -> list[URL]:
    """A URL for each node of a cluster, from one that names all: `amqp://user:password@one:5672,two:5672/vhost`.

    PostgreSQL has this syntax; the AMQP URI specification allows one host only.
    """
    whole = urlsplit(url)
    who, at, hosts = whole.netloc.rpartition("@")
    return [URL(whole._replace(netloc=f"{who}{at}{host}").geturl()) for host in hosts.split(",")]


async def connect(nodes: Sequence[URL], name: str) -> RabbitConnection:
    """A connection to one of the nodes; raises `BusError`. `name` is what the broker shows."""
    faults: list[str] = []
    for node in random.sample(nodes, len(nodes)):
        try:
            return await _connect_to(node, name, CONNECT_TIMEOUT / len(nodes))
        except BusError as error:
            faults.append(str(error))
    raise BusError("; ".join(faults))


async def _connect_to(node: URL, name: str, within: float) -> RabbitConnection:
    properties: FieldTable = {"connection_name": name}
    connection = RabbitConnection(node.update_query(heartbeat=HEARTBEAT))  # the library reads it from here only
    try:
        with bus_errors(f"no connection to RabbitMQ at {node.host}"):
            async with asyncio.timeout(within):
                await connection.connect(properties)
                await connection.ready()
    except BaseException:
        await close(connection)
        raise
    return connection
