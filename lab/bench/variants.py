"""The servers for all runs, and the variants of the saga that run on them one after the other."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import aiormq

from batalkan import local_servers
from batalkan.keys import make_keys
from batalkan.processes import Processes
from batalkan.servers import LocalServers
from batalkan.servers.data_folder import free_ports
from batalkan.subprocesses import Child, Reaper, run_all
from lab.bench.faststream import environment
from runtime.storage import schema
from runtime.storage.database import Database, connect
from services import SERVICES

ROOT = Path(__file__).resolve().parent.parent.parent
SAGA_SERVICES = ("orders", "refunds")
"""The services of the saga itself."""
BASELINES = ("reference", "faststream")
BATALKAN: Mapping[str, Sequence[str]] = {"core": ("accounts", *SAGA_SERVICES), "all": SERVICES}
"""The services of each variant of Batalkan: those that the saga needs, or all."""
OBSERVED = {"shared_preload_libraries": "pg_stat_statements", "track_commit_timestamp": "on"}
"""To count statements, and to know the commit time of a row without polling."""


@dataclass(frozen=True)
class Variant:
    """A running variant of the saga."""

    name: str
    origins: list[tuple[str, int]]
    """Where the clients cancel orders."""
    pids: Mapping[str, int]
    databases: Mapping[str, str]
    """Administrator's URLs of the databases of its services."""
    signing_key: Path
    processes: Processes | None = None
    """The supervisor of Batalkan's services; None for a baseline."""


@asynccontextmanager
async def bench_servers(folder: Path | None = None) -> AsyncIterator[LocalServers]:
    """The servers, with databases and users for all variants."""
    rivals = [f"{name}_{service}" for name in BASELINES for service in SAGA_SERVICES]
    async with LocalServers(folder, services=(*SERVICES, *rivals)) as servers:
        admin = await connect(servers.postgres.admin_url)
        for name, value in OBSERVED.items():
            await admin.execute(f"alter system set {name} = '{value}'")
        await admin.close()
        await servers.postgres.stop()
        await servers.postgres.start()
        admin = await connect(servers.postgres.admin_url)
        await admin.execute("create extension if not exists pg_stat_statements")
        await admin.execute("alter system set pg_stat_statements.track_planning = on")
        await admin.execute("select pg_reload_conf()")
        await admin.close()
        yield servers


@asynccontextmanager
async def running(name: str, servers: LocalServers, replicas: int = 1) -> AsyncIterator[Variant]:
    """Starts the processes of one variant (`core`, `all`, `reference`, `faststream`); stops them at the end."""
    start = _batalkan if name in BATALKAN else _baseline
    async with start(name, servers, replicas) as variant:
        yield variant


@asynccontextmanager
async def _batalkan(name: str, servers: LocalServers, replicas: int) -> AsyncIterator[Variant]:
    services = BATALKAN[name]
    await _leave_out(set(SERVICES) - set(services), servers)
    counts = dict.fromkeys(services, replicas)
    async with local_servers.running(
        servers=servers, services=services, demonstration=False, replicas=counts
    ) as running:
        origins = [_address(url) for url in running.origins["orders"]]
        pids = {
            name: _pid(watched.child)
            for name, watched in running.processes.watched.items()
            if name != local_servers.DANA
        }
        databases = {name: as_admin(servers, url) for name, url in running.database_urls.items()}
        yield Variant(name, origins, pids, databases, running.keys.signing_key, running.processes)


async def _leave_out(services: Collection[str], servers: LocalServers) -> None:
    """Removes the queues of the services that do not run. Publishers wait for their consumers, and recognize them by
    their dead-letter queues."""
    connection = await aiormq.connect(servers.rabbitmq.admin_url)
    channel = await connection.channel()
    for service in services:
        await channel.queue_delete(service)
        await channel.queue_declare(f"{service}.dead", durable=True, arguments={"x-queue-type": "quorum"})
    await connection.close()


@asynccontextmanager
async def _baseline(name: str, servers: LocalServers, replicas: int) -> AsyncIterator[Variant]:
    """A baseline with the same tables, kinds of queues and permissions as Batalkan."""
    urls = {service: servers.postgres.url(f"{name}_{service}") for service in SAGA_SERVICES}
    for service, url in urls.items():
        database = Database(url, pool_size=2)
        await database.connect()
        await schema.migrate(database, ROOT / "services" / service / "migrations")
        await database.close()
    python = Path(sys.executable) if name == "reference" else await asyncio.to_thread(environment.python)
    ports = list(islice(free_ports(), len(SAGA_SERVICES)))
    reaper = Reaper()
    children: dict[str, Child] = {}
    steps = []
    try:
        for service, port in zip(SAGA_SERVICES, ports, strict=True):
            settings = {
                "DATABASE_URL": urls[service],
                "BROKER_URL": servers.rabbitmq.url(f"{name}_{service}"),
                "PORT": str(port),
            }
            child = Child(
                f"{name}-{service}",
                [python, "-m", f"lab.bench.{name}", service],
                reaper=reaper,
                log=servers.folder / "logs" / f"{name}-{service}.log",
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **settings},
            )
            children[service] = child
            child.spawn()
            steps.append(child.until(_listening(port), timeout=60))
        await run_all(*steps)
        databases = {service: as_admin(servers, url) for service, url in urls.items()}
        pids = {service: _pid(child) for service, child in children.items()}
        keys = make_keys(servers.folder / "keys")
        yield Variant(name, [("127.0.0.1", ports[0])], pids, databases, keys.signing_key)
    finally:
        for child in children.values():
            await child.stop(10)
        reaper.close()


def as_admin(servers: LocalServers, url: str) -> str:
    """The administrator's URL of the same database."""
    return urlsplit(servers.postgres.admin_url)._replace(path=urlsplit(url).path).geturl()


def _pid(child: Child) -> int:
    assert child.pid is not None
    return child.pid


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def _listening(port: int) -> Callable[[], Awaitable[bool]]:
    """Readiness of a baseline: it listens only once it is ready."""

    async def connects() -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True

    return connects
