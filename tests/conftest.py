"""Fixtures for all tests: databases, a bus, keys. The real servers start when a test first uses them."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from shutil import disk_usage, rmtree
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import asyncpg
import pytest
from xdist.scheduler import LoadFileScheduling

from batalkan.keys import Keys, make_keys
from batalkan.servers import LocalServers, install
from runtime.loop import Loop
from runtime.messaging.bus import Bus
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.messaging.envelope import EXCHANGE
from runtime.storage import embedded, schema
from runtime.storage.connections import AsyncpgConnection
from runtime.storage.database import Database, connect
from services import SERVICES

MEMORY, ROOM = Path("/dev/shm"), 4 << 30  # noqa: S108
"""The kernel's folder in memory, and the bytes that must be free there."""
PREFIX = "batalkan-tests-"

BusOf = Callable[[str], Bus]
"""The bus as the service of that name connects to it."""


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the event loop that the services run on."""
    return {"uvloop": Loop}


SHARED = ("tests/compose", "tests/lab", "tests/flows")
"""Folders whose tests share a running system: one worker takes the whole folder."""
SLOW = (*SHARED, "tests/browser", "tests/machine", "tests/fuzz")
"""Folders that start first, so that no worker is alone with one at the end."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each worker whole files, or whole folders of `SHARED`."""
    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = scope_of
    return scheduler


def scope_of(test: str) -> str:
    """What a worker takes together with a test."""
    return next((folder for folder in SHARED if test.startswith(f"{folder}/")), test.partition("::")[0])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out long tests unless `-m` asks for them, and keeps folders together, since their fixtures start slowly:
    pytest would run all those tests first that are coroutines, wherever they are. The tests of compose.yaml run as
    written: later ones change the stack."""
    if "long" not in config.option.markexpr:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]

    def place(item: pytest.Item) -> tuple[int, Path, int]:
        rank = next((rank for rank, folder in enumerate(SLOW) if item.nodeid.startswith(f"{folder}/")), len(SLOW))
        as_written = item.nodeid.startswith("tests/compose/")
        return rank, *((item.path, item.location[1] or 0) if as_written else (item.path.parent, 0))

    items.sort(key=place)


class Databases:
    """Makes migrated databases: the first of a kind is migrated, the others are copies of it."""

    def __init__(self, admin_url: str, url_of: Callable[[str], str]) -> None:
        self.admin_url = admin_url
        self._url_of = url_of
        self._templates: dict[tuple[str, Path], str] = {}
        self._made: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._admins: list[AsyncpgConnection] = []

    @asynccontextmanager
    async def lent(self) -> AsyncIterator["Databases"]:
        """The same; databases that are made through it are dropped at the end of the block, the templates stay."""
        borrowed = Databases(self.admin_url, self._url_of)
        borrowed._templates, borrowed._admins, borrowed._loop = self._templates, self._admins, self._loop
        yield borrowed
        for name in borrowed._made:
            await self.admin(f'drop database "{name}" with (force)')

    async def migrated(self, service: str, migrations: Path) -> str:
        """The URL of a new database, owned by the role of the service."""
        kind = service, migrations
        if kind not in self._templates:
            self._templates[kind] = template = await self._create(service, "template0")
            database = Database(self._url(service, template), pool_size=2)
            await database.connect()
            await schema.migrate(database, migrations)
            await database.close()
        name = await self._create(service, self._templates[kind])
        self._made.append(name)
        return self._url(service, name)

    async def empty(self, service: str) -> str:
        """The URL of a new database without any tables."""
        self._made.append(name := await self._create(service, "template0"))
        return self._url(service, name)

    @asynccontextmanager
    async def of_a_system(self) -> AsyncIterator[str]:
        """The administrator's URL, for a system: its databases have the names of the services, and start empty."""
        try:
            yield self.admin_url
        finally:
            for name in SERVICES:
                await self.admin(f'drop database if exists "{name}" with (force)')

    async def admin(self, statement: str) -> None:
        """Runs a statement as the server's administrator."""
        is_at_home = asyncio.get_running_loop() is self._loop
        connection = self._admins.pop() if is_at_home and self._admins else await connect(self.admin_url)
        if connection.is_closed():  # a test has stopped the server
            connection = await connect(self.admin_url)
        await connection.execute(statement)
        if is_at_home:
            self._admins.append(connection)
        else:
            await connection.close()

    async def close(self) -> None:
        """Closes the administrator's connections."""
        while self._admins:
            await self._admins.pop().close()

    async def _create(self, service: str, template: str) -> str:
        name = f"{service}_{token_hex(4)}"
        owner = urlsplit(self._url_of(service)).username
        await self.admin(f'create database "{name}" template "{template}" owner "{owner}" strategy file_copy')
        return name

    def _url(self, service: str, name: str) -> str:
        return urlsplit(self._url_of(service))._replace(path=f"/{name}").geturl()


def _memory() -> Path | None:
    """`MEMORY`, if there is room, without what tests have left that were killed."""
    if not MEMORY.is_dir():
        return None
    for left in MEMORY.glob(f"{PREFIX}*"):
        if not Path("/proc", left.name.split("-")[2]).exists():
            rmtree(left, ignore_errors=True)
    unused = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return MEMORY if min(disk_usage(MEMORY).free, unused) > ROOM else None


@pytest.fixture(scope="session")
async def embedded_databases() -> AsyncIterator[Databases]:
    """The PostgreSQL of the embedded mode, without fsync, and in memory where there is room: a database has 300 files.

    Not in pytest's temporary folder: root's is not readable for the user that PostgreSQL runs as.
    """
    with TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=_memory()) as folder:
        async with embedded.running(f"{embedded.SCHEME}{folder}", ["postgres"]) as urls:
            databases = Databases(urls["postgres"], lambda service: urls["postgres"])
            await databases.admin("alter system set fsync = off")
            await databases.admin("select pg_reload_conf()")
            yield databases
            await databases.close()


@pytest.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalServers]:
    """RabbitMQ, PostgreSQL and Redis as private servers. A test that stops one starts it again."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("servers") / "install.log")
    async with LocalServers() as started:
        yield started


@pytest.fixture(scope="session")
async def server_databases(servers: LocalServers) -> AsyncIterator[Databases]:
    """Databases on the PostgreSQL server, under the roles of the services."""
    databases = Databases(servers.postgres.admin_url, servers.postgres.url)
    yield databases
    await databases.close()


@pytest.fixture
def memory_bus() -> BusOf:
    """A bus within this process, with nothing on it."""
    bus = MemoryBus()
    return lambda service: bus


@pytest.fixture
async def rabbit_bus(servers: LocalServers) -> BusOf:
    """RabbitMQ with nothing on it; each service is a user of its own."""
    async with await aio_pika.connect(servers.rabbitmq.admin_url) as connection, connection.channel() as channel:
        await channel.exchange_delete(EXCHANGE)
        for name in SERVICES:
            for queue in (name, f"{name}.dead"):
                await channel.queue_delete(queue)
            await channel.exchange_delete(f"{name}.dead")
    return lambda service: RabbitBus(servers.rabbitmq.url(service), service)


@pytest.fixture(params=["memory", pytest.param("rabbit", marks=pytest.mark.servers)])
def bus(request: pytest.FixtureRequest) -> BusOf:
    """Each bus in turn: a test that uses this holds for both."""
    found: BusOf = request.getfixturevalue(f"{request.param}_bus")
    return found


@pytest.fixture
def all_databases(bus: BusOf, request: pytest.FixtureRequest) -> Databases:
    """The databases for the bus: embedded ones for the bus in memory, else those of the real server."""
    kind = "embedded" if isinstance(bus("orders"), MemoryBus) else "server"
    found: Databases = request.getfixturevalue(f"{kind}_databases")
    return found


@pytest.fixture
async def databases(all_databases: Databases) -> AsyncIterator[Databases]:
    """Databases for one test, dropped at its end."""
    async with all_databases.lent() as lent:
        yield lent


@pytest.fixture
def deadlocks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The deadlocks that PostgreSQL has to resolve, also where the loser tries again without an error."""
    found: list[str] = []
    original = asyncpg.DeadlockDetectedError.__init__

    def note(error: Any, *arguments: Any) -> None:
        found.append(str(arguments))
        original(error, *arguments)

    monkeypatch.setattr(asyncpg.DeadlockDetectedError, "__init__", note)
    return found


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The key files that the services need."""
    return make_keys(tmp_path_factory.mktemp("keys"))
