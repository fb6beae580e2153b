"""Private servers: the rights of each service, and what is left after a server was killed or frozen."""

import asyncio
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import aio_pika
import asyncpg
import pytest
import redis.asyncio
from aio_pika.exceptions import AMQPError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError

from batalkan.servers import LocalServers
from runtime.demo.recorder import KEPT, STREAM
from runtime.http.revocations import ENDED
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.storage.database import connect
from tests.machine.life import children_of_the_killed, gone

pytestmark = pytest.mark.servers

OWNER = """
import asyncio, sys
from pathlib import Path
from batalkan.servers import LocalServers

async def main():
    async with LocalServers(Path(sys.argv[1])) as servers:
        print(*(server.child.pid for server in (servers.postgres, servers.rabbitmq, servers.redis)), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_every_service_has_a_database_of_its_own(servers: LocalServers) -> None:
    """A service logs in to its own database, may make tables there, and is turned away from all others."""
    own = await connect(servers.postgres.url("orders"))
    await own.execute("create table mine (id int)")
    await own.execute("drop table mine")
    await own.close()
    for other in ("refunds", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connect(servers.postgres.url("orders"), database=other)


async def test_postgres_has_default_durability(servers: LocalServers) -> None:
    """What is measured here holds elsewhere: a commit is on disk before it is answered."""
    admin = await connect(servers.postgres.admin_url)
    assert await admin.fetchval("show fsync") == "on"
    assert await admin.fetchval("show synchronous_commit") == "on"
    assert await admin.fetchval("show max_connections") == "300"
    await admin.close()


async def test_service_publishes_under_its_own_name_only(servers: LocalServers) -> None:
    """The broker takes what begins with the service's name, and refuses an event that is forged for another."""
    # Declared as the service does it, since it may be there already.
    subscription = await RabbitBus(servers.rabbitmq.url("chat"), "chat").subscribe("chat", ["orders.*", "chat.*"])
    async with await aio_pika.connect(servers.rabbitmq.url("chat")) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("batalkan.events", "topic", durable=True)
        await exchange.publish(aio_pika.Message(b"{}"), "chat.SellerReplied")
        async with asyncio.timeout(10):
            while "chat.SellerReplied" not in {one.routing_key for one in await subscription.take(256)}:
                pass
        await subscription.close()
        with pytest.raises(AMQPError):
            await exchange.publish(aio_pika.Message(b"{}"), "orders.OrderCancelled")


@pytest.mark.parametrize("queue", ["orders", "anything"])
async def test_service_has_its_own_queues_only(servers: LocalServers, queue: str) -> None:
    """The broker lets a service make and read no queue but those that bear its name."""
    async with await aio_pika.connect(servers.rabbitmq.url("chat")) as connection:
        channel = await connection.channel()
        with pytest.raises(AMQPError):
            await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})


async def test_broker_refuses_more_than_a_mebibyte(servers: LocalServers) -> None:
    """A message over 1 MiB closes its channel."""
    async with await aio_pika.connect(servers.rabbitmq.url("chat")) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("batalkan.events", "topic", durable=True)
        with pytest.raises(AMQPError):
            await exchange.publish(aio_pika.Message(bytes(1_048_577)), "chat.SellerReplied")


async def test_service_has_its_own_keys_only(servers: LocalServers) -> None:
    """Redis lets a service touch the keys and channels of its name, and nothing that knows no keys: names of keys
    are secrets, so that none is listed."""
    client = redis.asyncio.Redis.from_url(servers.redis.url("accounts"))
    assert await client.set("accounts:here", "1", ex=60)
    assert await client.publish("accounts:here", "1") == 0
    others = (client.get("orders:here"), client.publish("orders:here", "1"))
    for refused in (*others, client.flushall(), client.keys(), client.scan(), client.randomkey(), client.dbsize()):
        with pytest.raises(NoPermissionError):
            await refused
    await client.aclose()
    stranger = redis.asyncio.Redis(port=servers.redis.port, retry=Retry(NoBackoff(), 0))
    with pytest.raises(AuthenticationError):
        await stranger.ping()
    await stranger.aclose()


async def test_ended_sessions_are_written_by_accounts_alone(servers: LocalServers) -> None:
    """Every service may read ended sessions and subscribe to them; only `accounts` may write and publish them."""
    accounts, chat = (redis.asyncio.Redis.from_url(servers.redis.url(name)) for name in ("accounts", "chat"))
    received = chat.pubsub()
    await received.subscribe(ENDED)
    assert await accounts.zadd(ENDED, {"entry": 1}) == 1
    assert await accounts.publish(ENDED, "entry") == 1
    assert await chat.zscore(ENDED, "entry") == 1
    for refused in (chat.zadd(ENDED, {"other": 1}), chat.delete(ENDED), chat.publish(ENDED, "other")):
        with pytest.raises(NoPermissionError):
            await refused
    await accounts.delete(ENDED)
    await received.aclose()  # type: ignore[no-untyped-call]
    await accounts.aclose()
    await chat.aclose()


async def test_demonstration_records_are_read_by_web(servers: LocalServers) -> None:
    """Every service may write into the demonstration's stream; only `web` may read it."""
    orders, web = (redis.asyncio.Redis.from_url(servers.redis.url(name)) for name in ("orders", "web"))
    assert await orders.xadd(STREAM, {"records": "[]"}, maxlen=KEPT, approximate=True)
    for refused in (orders.xrange(STREAM), orders.xread({STREAM: "0"}), orders.xadd("accounts:here", {"a": "1"})):
        with pytest.raises(NoPermissionError):
            await refused
    assert len(await web.xread({STREAM: "0"})) == 1
    await orders.aclose()
    await web.aclose()


async def test_killed_postgres_keeps_what_was_committed(servers: LocalServers) -> None:
    """After SIGKILL and a new start, on the same port, a committed row is there."""
    before = await connect(servers.postgres.url("cs"))
    await before.execute("create table kept as select 1 as id")
    await servers.postgres.kill()
    with pytest.raises(OSError):  # noqa: PT011 - which kind depends on the moment
        await connect(servers.postgres.url("cs"))
    await servers.postgres.start()
    after = await connect(servers.postgres.url("cs"))
    assert await after.fetchval("select id from kept") == 1
    await after.execute("drop table kept")
    await after.close()
    before.terminate()


async def test_killed_rabbitmq_keeps_what_was_confirmed(servers: LocalServers) -> None:
    """After SIGKILL and a new start, on the same port, a confirmed message is in its quorum queue."""
    name = f"kept-{token_hex(4)}"
    async with await aio_pika.connect(servers.rabbitmq.admin_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, name)
        await name_on_disk(servers.folder, name)
        await servers.rabbitmq.kill()
    await servers.rabbitmq.start()
    async with await aio_pika.connect(servers.rabbitmq.admin_url) as connection:
        channel = await connection.channel()
        found = await (await channel.get_queue(name)).get(timeout=20)
        assert found.body == b"kept"
        await found.ack()
        await channel.queue_delete(name)


async def name_on_disk(folder: Path, queue: str) -> None:
    """Returns when RabbitMQ has written down that there is such a queue, which it does within a second."""
    async with asyncio.timeout(10):
        while queue not in names_on_disk(folder):
            await asyncio.sleep(0.05)


def names_on_disk(folder: Path) -> str:
    """The file in which RabbitMQ keeps the names of its quorum queues, as far as it is text."""
    return "".join(path.read_text(errors="replace") for path in folder.glob("rabbitmq/**/quorum/*/names.dets"))


async def test_frozen_server_answers_when_it_goes_on(servers: LocalServers) -> None:
    """While Redis is paused a connection is taken and nothing is answered; afterwards it is."""
    client = redis.asyncio.Redis.from_url(servers.redis.admin_url)
    servers.redis.pause()
    ping = asyncio.ensure_future(client.ping())
    done, _ = await asyncio.wait([ping], timeout=0.2)
    assert not done
    servers.redis.resume()
    assert await ping
    await client.aclose()


@pytest.mark.usefixtures("servers")
async def test_servers_do_not_outlive_a_killed_owner() -> None:
    """When the process that started servers is killed, they end, and their folder can be used again."""
    with TemporaryDirectory(
        ignore_cleanup_errors=True
    ) as name:  # pytest's own folders are closed to the servers' users
        folder = Path(name)
        ids = await asyncio.to_thread(children_of_the_killed, OWNER, folder)
        await gone(*ids)
        assert len(ids) == 3
        async with LocalServers(folder, services=["orders"]) as again:
            assert again.folder == folder
            connection = await connect(again.postgres.url("orders"))
            await connection.close()
