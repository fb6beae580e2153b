"""The servers for all runs, and the variants of the saga that run on them one after the other."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import aiormq

from batalkan import local_servers
from batalkan.keys import Keys, make_keys
from batalkan.local_servers import LocalDeployment
from batalkan.operate import connected
from batalkan.servers import LocalServers
from batalkan.servers.data_folder import free_ports
from batalkan.subprocesses import Child, Reaper, run_all
from lab.bench.environment import FASTSTREAM
from runtime.storage import schema
from runtime.storage.database import Database
from services import SERVICES

ROOT = Path(__file__).resolve().parent.parent.parent
SAGA_SERVICES = ("orders", "refunds")
"""The services of the saga itself."""
BASELINES = ("reference", "faststream")
BATALKAN: Mapping[str, Sequence[str]] = {
    "core": ("accounts", *SAGA_SERVICES),
    "all": tuple(name for name in SERVICES if name != "notifications"),
    "every": SERVICES,
}
"""The services of each variant of Batalkan: those that the saga needs, all six that there were when the targets were
set, or every one."""
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
    keys: Keys
    deployment: LocalDeployment | None = None
    """Batalkan's processes; None for a baseline."""


@asynccontextmanager
async def bench_servers() -> AsyncIterator[LocalServers]:
    """The servers, with databases and users for all variants."""
    rivals = [f"{name}_{service}" for name in BASELINES for service in SAGA_SERVICES]
    async with LocalServers(services=(*SERVICES, *rivals)) as servers:
        async with connected(servers.postgres.admin_url) as admin:
            for name, value in OBSERVED.items():
                await admin.execute(f"alter system set {name} = '{value}'")
        await servers.postgres.stop()
        await servers.postgres.start()
        async with connected(servers.postgres.admin_url) as admin:
            await admin.execute("create extension if not exists pg_stat_statements")
            await admin.execute("alter system set pg_stat_statements.track_planning = on")
            await admin.execute("select pg_reload_conf()")
        yield servers


@asynccontextmanager
async def running(
    name: str, servers: LocalServers, replicas: int = 1, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Variant]:
    """Starts the processes of one variant (`core`, `all`, `reference`, `faststream`), Batalkan's with this
    `environment`; stops them at the end."""
    start = partial(_batalkan, environment=environment or {}) if name in BATALKAN else _baseline
    async with start(name, servers, replicas) as variant:
        yield variant


@asynccontextmanager
async def _batalkan(
    name: str, servers: LocalServers, replicas: int, environment: Mapping[str, str]
) -> AsyncIterator[Variant]:
    services = BATALKAN[name]
    await _leave_out(set(SERVICES) - set(services), servers)
    counts = dict.fromkeys(services, replicas)
    async with local_servers.running(
        servers=servers,
        services=services,
        demonstration=False,
        replicas=counts,
        extra=dict.fromkeys(services, environment),
    ) as running:
        origins = [(url.hostname or "", url.port or 0) for url in map(urlsplit, running.origins["orders"])]
        watched = running.processes.watched
        pids = {name: pid_of(one.child) for name, one in watched.items() if name != local_servers.DANA}
        databases = {name: _as_admin(servers, url) for name, url in running.database_urls.items()}
        yield Variant(name, origins, pids, databases, running.keys, running)


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
    python = Path(sys.executable) if name == "reference" else await asyncio.to_thread(FASTSTREAM.python)
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
            steps.append(child.until(partial(_listens, port), timeout=60))
        await run_all(*steps)
        databases = {service: _as_admin(servers, url) for service, url in urls.items()}
        pids = {service: pid_of(child) for service, child in children.items()}
        yield Variant(name, [("127.0.0.1", ports[0])], pids, databases, make_keys(servers.folder / "keys"))
    finally:
        for child in children.values():
            await child.stop(10)
        reaper.close()


def _as_admin(servers: LocalServers, url: str) -> str:
    """The administrator's URL of the same database."""
    return urlsplit(servers.postgres.admin_url)._replace(path=urlsplit(url).path).geturl()


def pid_of(child: Child) -> int:
    """The id of a process that runs."""
    assert child.pid is not None
    return child.pid


async def _listens(port: int) -> bool:
    """Readiness of a baseline: it listens only once it is ready."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return True
