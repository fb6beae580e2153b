"""A broker of several nodes: all in one URL, and the next is tried when one is gone."""

import asyncio

import pytest
from yarl import URL

from batalkan.servers import LocalServers
from runtime.messaging.bus import BusError, connection
from runtime.messaging.bus.connection import nodes
from runtime.messaging.bus.rabbitmq import RabbitBus
from tests.harness.proxy import proxied


def test_one_url_names_all_nodes() -> None:
    """User, password, virtual host and options of a URL apply to each of its nodes; one node is the usual case."""
    assert nodes("amqp://siti:s%40h@one:5672,two:5673/batalkan") == [
        URL("amqp://siti:s%40h@one:5672/batalkan"),
        URL("amqp://siti:s%40h@two:5673/batalkan"),
    ]
    assert nodes("amqp://guest:guest@127.0.0.1:5672/") == [URL("amqp://guest:guest@127.0.0.1:5672/")]


async def test_an_error_names_each_node_that_cannot_be_reached() -> None:
    """The error names every node, since each may be away for a reason of its own."""
    with pytest.raises(BusError, match=r"(one.invalid.*two.invalid)|(two.invalid.*one.invalid)"):
        await RabbitBus("amqp://siti:secret@one.invalid:1,two.invalid:1/", "orders").publisher([])


@pytest.mark.servers
async def test_the_next_node_is_tried(servers: LocalServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one node that refuses and one that is frozen, every connection is made, to the third."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 3.0)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, proxied(servers.rabbitmq.port) as line:
        bus = RabbitBus(
            line.through(servers.rabbitmq.url("orders")).replace("@", f"@127.0.0.1:1,127.0.0.1:{port},"), "orders"
        )
        for attempt in range(1, 6):
            await (await bus.publisher([])).close()
            assert line.connections == attempt
